"""The whole of Nightshift on this machine: Postgres, AWS with template.yaml on it, RevenueCat, a demo team."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pg8000.native

from local import mailbox, processes, roles, sam, seed
from local.aws import Engine, last_lines
from local.deploy import api_url, dashboard_url, deploy, function_name
from local.files import write_private
from local.packages import installed_dependencies
from local.ports import complaint
from local.postgres import Postgres, close_to_others

CHECKOUT = Path(__file__).parent.parent
# The installed packages: the same for every stack of this checkout.
BUILD = CHECKOUT / ".local" / "build"

DATABASE = "nightshift"
TOKEN_DAYS = 30
MAIL_DOMAIN = seed.ADMIN_EMAIL.partition("@")[2]
POSTGRES_PATIENCE_S = 15

# Locally somebody may want to see a crash healed: it is noticed within 35 seconds and a sweep.
PARAMETERS = {
    "Shape": "existing",
    "DatabaseCaFile": "",
    "DatabaseHost": "127.0.0.1",
    "DatabaseName": DATABASE,
    "DatabaseOwner": roles.OPERATOR,
    "DatabaseOwnerSecret": f"{roles.SECRETS}{roles.OPERATOR}",
    "DatabaseRoleSecrets": roles.SECRETS,
    "WorkerTimeout": "30",
    "SliceBudget": "20",
    "SliceReserve": "8",
    "LeaseMargin": "5",
    "ResendDelay": "30",
    "MailFrom": f"nightshift@{MAIL_DOMAIN}",
    "SystemJobsAlertEmail": seed.ADMIN_EMAIL,
}


class CannotStart(RuntimeError):
    """The stack cannot start"""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Each can be set by NIGHTSHIFT_<NAME>_PORT, like NIGHTSHIFT_AWS_PORT."""

    aws: int = 4566
    postgres: int = 5466
    revenuecat: int = 4567
    mailbox: int = 4568

    @classmethod
    def from_environment(cls) -> "Ports":
        """Raises CannotStart for a value that is no port."""
        chosen = {}
        for name in asdict(cls()):
            text = os.environ.get(variable := f"NIGHTSHIFT_{name.upper()}_PORT")
            if text is None:
                continue
            if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
                raise CannotStart(f"{variable} must be a port between 1 and 65535, got {text!r}")
            chosen[name] = int(text)
        return cls(**chosen)


@dataclass
class Stack:
    """``folder`` holds all it writes; ``parameters`` are the template's; ``say`` is told what takes long.

    ``revenuecat_budget`` is the sandbox's calls a minute, an eighth of it for a project's configuration. RevenueCat's
    own is 480, with which the demo's sync would take six minutes.
    """

    folder: Path
    ports: Ports
    parameters: Mapping[str, str] = field(default_factory=dict)
    revenuecat_budget: int = 60_000
    say: Callable[[str], None] = lambda sentence: None
    _postgres_missed_at: float | None = field(default=None, init=False, repr=False)
    _cleanup: ExitStack = field(default_factory=ExitStack, init=False, repr=False)
    _watched: dict[str, tuple[subprocess.Popen[bytes], Path]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        self.postgres = Postgres(self.folder / "postgres", self.ports.postgres)
        self.engine = Engine(self.folder, CHECKOUT, self.ports.aws)

    @property
    def file(self) -> Path:
        return self.folder / "stack.json"

    @property
    def sam_file(self) -> Path:
        """For ``sam local --env-vars``; samconfig.toml names it."""
        return self.folder / "sam-env.json"

    @property
    def _revenuecat_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.revenuecat}/v2"

    @property
    def _mailbox_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.mailbox}/{self.engine.mail_key}"

    def start(self) -> dict[str, Any]:
        """Returns what is then in stack.json. Whatever happens, ``stop`` has to follow.

        Raises CannotStart, and RuntimeError for a part that did not come up; both say why.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock()
        # Where an earlier release or `make` has made it, too.
        close_to_others(self.folder)
        # Last of all, in case an interrupt came between a process's start and our taking note of it.
        self._cleanup.callback(processes.end_left_behind, self.folder)
        self._clear_up()
        self._check_ports()
        self.say("Starting Postgres …")
        passwords = roles.kept_passwords(self.folder / "database.json")
        self.postgres.password = passwords[roles.OPERATOR]
        self._cleanup.callback(self.postgres.stop)
        # An interrupted start leaves a server that is not known yet.
        with processes.uninterrupted():
            self.postgres.start()
        self._create_database(passwords)
        self._start_revenuecat()
        self.say("Starting AWS …")
        self._cleanup.callback(shutil.rmtree, self.folder / "tmp", ignore_errors=True)
        self._cleanup.callback(self.engine.stop)
        self.engine.start()
        roles.store(passwords, engine=self.engine)
        key, port = self.engine.mail_key, self.ports.mailbox
        self._cleanup.enter_context(mailbox.serve(self.engine.mails_url, port=port, key=key, logs_of=self._logs_of))
        # As on AWS, SES refuses a sender whose identity it has not verified; this engine takes our word for it.
        self.engine.client("sesv2").create_email_identity(EmailIdentity=MAIL_DOMAIN)
        assert self.engine.process is not None
        self._watched["The AWS engine"] = (self.engine.process, self.engine.log)
        outputs = self.deploy()
        self.say("Adding the demo team …")
        content = self._describe(outputs, self._seed(outputs))
        self._cleanup.callback(self.file.unlink, missing_ok=True)
        write_private(self.file, content)
        self._cleanup.callback(self.sam_file.unlink, missing_ok=True)
        write_private(self.sam_file, sam.environments(self.engine, besides=self._variables(CHECKOUT)))
        return content

    def stop(self) -> None:
        """Ends every process and takes away every trace but the data, the logs and the installed packages."""
        self._cleanup.close()

    def check(self) -> None:
        """To be called every now and then. Postgres may be restarted under the stack: runs go on after that.

        Starts it again when nobody else does. Raises RuntimeError when another of its processes has ended by itself.
        """
        for name, (process, log) in self._watched.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} has ended: {last_lines(log)} (all of it is in {log})")
        if self.postgres.is_running():
            self._postgres_missed_at = None
        elif self._postgres_missed_at is None:
            self._postgres_missed_at = time.monotonic()
            self.say(f"Postgres has ended. If nobody starts it within {POSTGRES_PATIENCE_S} seconds, this does.")
        elif time.monotonic() - self._postgres_missed_at > POSTGRES_PATIENCE_S:
            self.say("Starting Postgres again …")
            self.postgres.start()

    def deploy(self, source: Path = CHECKOUT) -> dict[str, str]:
        """Create or update the stack from the template, the code and the migrations in ``source``; returns its outputs.

        Raises DeployFailed, an update being rolled back by then.
        """
        variables = self._variables(source)
        self.say("Deploying template.yaml …")
        return deploy(
            source / "template.yaml",
            engine=self.engine,
            parameters=PARAMETERS
            | {"DatabasePort": str(self.ports.postgres), "RevenueCatUrl": self._revenuecat_url}
            | {"DashboardUrl": dashboard_url(self.engine)}
            | {"LogsUrl": f"{self._mailbox_url}/logs/{{run_id}}"}
            | dict(self.parameters),
            variables=variables,
        )

    def invoke(self, logical_id: str, event: Mapping[str, object]) -> Any:
        """The result of one of the template's functions, called like EventBridge would, but waited for."""
        answer = self.engine.client("lambda").invoke(
            FunctionName=function_name(logical_id, engine=self.engine), Payload=json.dumps(dict(event))
        )
        return json.load(answer["Payload"])

    def _logs_of(self, run_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.invoke("OpsFunction", {"command": "logs", "run_id": run_id, "at_most": 1000})
        return answer

    def _lock(self) -> None:
        # On the folder itself: the lock goes with the process, however it ends, and leaves nothing to remove.
        folder = os.open(self.folder, os.O_RDONLY)
        self._cleanup.callback(os.close, folder)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(self._who_runs()) from None

    def _who_runs(self) -> str:
        try:
            running = json.loads(self.file.read_text())
            return (
                f"Nightshift is running here already: process {running['pid']}, {running['api_url']}\n"
                "Ctrl-C stops it where it was started; the next start takes up what has changed."
            )
        except (OSError, ValueError, KeyError):
            return f"Another run is starting or stopping in {self.folder}. Try again when it is done."

    def _clear_up(self) -> None:
        """What a run that was killed left: nobody else can be using it, because we hold the lock."""
        ended = 0
        if self.postgres.is_running():
            self.postgres.stop()
            ended = 1
        ended += processes.end_left_behind(self.folder)
        if ended:
            self.say(f"An earlier run was killed: ended {ended} of its processes")
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        self.file.unlink(missing_ok=True)
        self.sam_file.unlink(missing_ok=True)

    def _check_ports(self) -> None:
        if sentence := complaint(asdict(self.ports), usual=asdict(Ports())):
            raise CannotStart(sentence)

    def _create_database(self, passwords: Mapping[str, str]) -> None:
        with contextlib.closing(self.connect("postgres")) as connection:
            roles.let_functions_in(connection, passwords)
            if not connection.run("SELECT FROM pg_database WHERE datname = :name", name=DATABASE):
                connection.run(f"CREATE DATABASE {DATABASE}")

    def connect(self, database: str = DATABASE) -> pg8000.native.Connection:
        """As the operator."""
        return pg8000.native.Connection(
            roles.OPERATOR,
            host="127.0.0.1",
            port=self.ports.postgres,
            database=database,
            password=self.postgres.password,
        )

    def _start_revenuecat(self) -> None:
        budgets = {"budget": self.revenuecat_budget, "configuration-budget": self.revenuecat_budget // 8}
        options = {"port": self.ports.revenuecat, "customers": seed.USERS} | budgets
        credentials = {"api-key": seed.REVENUECAT_KEY, "project-id": seed.REVENUECAT_PROJECT_ID}
        log = self.folder / "revenuecat.log"
        process = processes.start(
            [
                *(sys.executable, "-m", "local.revenuecat"),
                *(f"--{name}={value}" for name, value in (options | credentials).items()),
            ],
            folder=self.folder,
            log=log,
            environment={},
            cwd=CHECKOUT,
        )
        self._cleanup.callback(processes.end, process)
        self._watched["The RevenueCat sandbox"] = (process, log)

    def _variables(self, source: Path) -> dict[str, str]:
        """Where this engine's functions find what Lambda's find in their layers."""
        requirements = source / "layers/dependencies/requirements.txt"
        packages = installed_dependencies(
            requirements, checkout=CHECKOUT, build=BUILD, folder=self.folder, say=self.say
        )
        return {"PYTHONPATH": str(packages), "NIGHTSHIFT_SQL_DIRECTORY": str(source / "sql")}

    def _seed(self, outputs: Mapping[str, str]) -> dict[str, str]:
        environment = processes.clean_environment() | self.engine.environment
        environment |= {
            processes.MARK: str(self.folder),
            "DATABASE_HOST": "127.0.0.1",
            "DATABASE_PORT": str(self.ports.postgres),
            "DATABASE_NAME": DATABASE,
            "DATABASE_USER": roles.OPERATOR,
            "DATABASE_PASSWORD": self.postgres.password,
            "INTEGRATIONS_KEY_ID": outputs["IntegrationsKeyId"],
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers/nightshift")]),
        }
        command = [sys.executable, "-m", "local.seed", str(self.folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=CHECKOUT)
        if done.returncode != 0:
            raise RuntimeError("Could not add the demo team: " + done.stderr.strip().split("\n")[-1])
        made: dict[str, str] = json.loads(done.stdout)
        return made

    def _describe(self, outputs: Mapping[str, str], demo: Mapping[str, str]) -> dict[str, Any]:
        secret = self.engine.client("secretsmanager").get_secret_value(SecretId=outputs["JwtSecretId"])["SecretString"]
        claims = {"sub": demo["admin_id"], "exp": int(time.time()) + TOKEN_DAYS * 86400}
        return {
            "pid": os.getpid(),
            "api_url": api_url(self.engine),
            "dashboard_url": dashboard_url(self.engine),
            "database_url": self.postgres.url(DATABASE),
            "mailbox_url": self.engine.mails_url,
            "mailbox_page_url": self._mailbox_url,
            "revenuecat_url": self._revenuecat_url,
            "aws_endpoint_url": self.engine.url,
            "aws_access_key_id": self.engine.access_key_id,
            "aws_secret_access_key": self.engine.secret_access_key,
            "integrations_key_id": outputs["IntegrationsKeyId"],
            "team_id": demo["team_id"],
            "project_id": demo["project_id"],
            "agent_key": demo["agent_key"],
            "admin_token": jwt.encode(claims, secret, algorithm="HS256"),
        }


@contextlib.contextmanager
def running(stack: Stack) -> Iterator[dict[str, Any]]:
    """Started inside, stopped afterwards, whatever happens in between."""
    try:
        yield stack.start()
    finally:
        stack.stop()
