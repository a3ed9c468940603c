"""The local stack: Postgres, local AWS with template.yaml deployed on it, a RevenueCat sandbox and a demo team."""

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
from botocore.exceptions import BotoCoreError, ClientError

from local import mailbox, processes, roles, sam, seed
from local.aws import LocalAws, last_lines
from local.deployment.deploy import api_url, dashboard_url, deploy, function_name, update_code
from local.deployment.packages import installed_dependencies
from local.files import write_private
from local.older import changed_migrations
from local.ports import Ports, complaint
from local.postgres import Postgres, close_to_others

CHECKOUT = Path(__file__).parent.parent
# Installed packages, shared by every stack of this checkout.
BUILD = CHECKOUT / ".local" / "build"

DATABASE = "nightshift"
TOKEN_DAYS = 30
MAIL_DOMAIN = seed.ADMIN_EMAIL.partition("@")[2]
POSTGRES_PATIENCE_S = 15

# Short time-outs, so that developers can watch recovery: a crash is noticed within 35 seconds and one sweep.
PARAMETERS = {
    "Shape": "existing",
    "DatabaseCaFile": "",
    "DatabaseHost": "127.0.0.1",
    "DatabaseName": DATABASE,
    "DatabaseOwner": roles.OPERATOR,
    "DatabaseOwnerSecret": roles.OPERATOR_SECRET,
    "DatabaseSignIn": "password",
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


@dataclass
class Stack:
    """The local stack. ``folder`` holds every file that it writes; ``parameters`` override the template's parameters.

    ``say`` receives a line before each slow step. ``awaits_updates`` says whether a run whose job cannot be imported
    tries again later, as on AWS; here all functions are updated together, so by default it fails at once.
    ``revenuecat_budget`` is the number of calls a minute that the sandbox allows, and an eighth of that for a project's
    configuration. RevenueCat itself allows 480, with which the demo's sync would take six minutes.
    """

    folder: Path
    ports: Ports
    parameters: Mapping[str, str] = field(default_factory=dict)
    awaits_updates: bool = False
    revenuecat_budget: int = 60_000
    say: Callable[[str], None] = lambda sentence: None
    _postgres_missed_at: float | None = field(default=None, init=False, repr=False)
    _cleanup: ExitStack = field(default_factory=ExitStack, init=False, repr=False)
    _watched: dict[str, tuple[subprocess.Popen[bytes], Path]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        self.postgres = Postgres(self.folder / "postgres", self.ports.postgres)
        self.local_aws = LocalAws(self.folder, CHECKOUT, self.ports.aws)

    @property
    def file(self) -> Path:
        return self.folder / "stack.json"

    @property
    def sam_file(self) -> Path:
        """Return the path of the file for ``sam local --env-vars``; samconfig.toml names it."""
        return self.folder / "sam-env.json"

    @property
    def _revenuecat_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.revenuecat}/v2"

    @property
    def _mailbox_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.mailbox}/{self.local_aws.mail_key}"

    @property
    def _alert_sink_url(self) -> str:
        return f"{self._mailbox_url}/alerts"

    def start(self) -> dict[str, Any]:
        """Start the stack and return the content of stack.json. Callers must call ``stop`` afterwards, also on errors.

        Raise CannotStart, or RuntimeError when a part of the stack does not start. Both give the reason.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock()
        # An earlier release or `make` may have created the folder with wider permissions.
        close_to_others(self.folder)
        # Runs last, for a process that was started but not yet recorded when an interrupt came.
        self._cleanup.callback(processes.end_left_behind, self.folder)
        self._clear_up()
        self._check_ports()
        self.say("Starting Postgres …")
        self.postgres.password = roles.kept_password(self.folder / "database.json")
        self._cleanup.callback(self.postgres.stop)
        # An interrupted start would leave a running server that this process does not know.
        with processes.uninterrupted():
            self.postgres.start()
        self._create_database()
        self._start_revenuecat()
        self.say("Starting AWS …")
        self._cleanup.callback(shutil.rmtree, self.folder / "tmp", ignore_errors=True)
        self._cleanup.callback(self.local_aws.stop)
        self.local_aws.start()
        roles.store(self.postgres.password, local_aws=self.local_aws)
        key, port = self.local_aws.mail_key, self.ports.mailbox
        self._cleanup.enter_context(mailbox.serve(self.local_aws.mails_url, port=port, key=key, logs_of=self._logs_of))
        # SES refuses a sender whose identity is not verified. Local AWS marks an identity as verified at once.
        self.local_aws.client("sesv2").create_email_identity(EmailIdentity=MAIL_DOMAIN)
        assert self.local_aws.process is not None
        self._watched["Local AWS"] = (self.local_aws.process, self.local_aws.log)
        outputs = self.deploy()
        self.say("Adding the demo team …")
        content = self._describe(outputs, self._seed(outputs))
        self._cleanup.callback(self.file.unlink, missing_ok=True)
        write_private(self.file, content)
        self._cleanup.callback(self.sam_file.unlink, missing_ok=True)
        write_private(self.sam_file, sam.environments(self.local_aws, besides=self._variables(CHECKOUT)))
        return content

    def stop(self) -> None:
        """End every process and remove every file except data, logs and installed packages."""
        self._cleanup.close()

    def check(self) -> None:
        """Check the stack's processes; to be called repeatedly. Raise RuntimeError when one has ended by itself.

        Postgres is the exception. A developer may restart it under the stack, and runs continue afterwards. If it
        stays down, start it again.
        """
        for name, (process, log) in self._watched.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} has ended unexpectedly: {last_lines(log)} (full log: {log})")
        if self.postgres.is_running():
            self._postgres_missed_at = None
        elif self._postgres_missed_at is None:
            self._postgres_missed_at = time.monotonic()
            self.say(f"Postgres has stopped. Restart it within {POSTGRES_PATIENCE_S} seconds, or this process does.")
        elif time.monotonic() - self._postgres_missed_at > POSTGRES_PATIENCE_S:
            self.say("Starting Postgres again …")
            self.postgres.start()

    def deploy(self, source: Path = CHECKOUT) -> dict[str, str]:
        """Create or update the stack from the template, code and migrations in ``source``. Return its outputs.

        Raise DeployFailed after a failed update was rolled back.
        """
        variables = self._variables(source)
        self.say("Deploying template.yaml …")
        return deploy(
            source / "template.yaml",
            local_aws=self.local_aws,
            parameters=PARAMETERS
            | {"DatabasePort": str(self.ports.postgres), "RevenueCatUrl": self._revenuecat_url}
            | {"DashboardUrl": dashboard_url(self.local_aws)}
            | {"LogsUrl": f"{self._mailbox_url}/logs/{{run_id}}"}
            | dict(self.parameters),
            variables=variables,
        )

    def update_code(self, source: Path = CHECKOUT) -> None:
        """Give the functions the code and the queries in ``source``. Raise DeployFailed if local AWS refuses them."""
        update_code(source / "functions", local_aws=self.local_aws)

    def start_error(self) -> str | None:
        """Start the worker, which imports all job types. Return its error if it cannot start."""
        return self._error_of("WorkerFunction", {"Records": []})

    def declare(self) -> str | None:
        """Bring the declarations of the jobs to the database, as a deployment does. Return the error, if any."""
        return self._error_of("MigrateFunction", {})

    def _error_of(self, logical_id: str, event: Mapping[str, object]) -> str | None:
        try:
            answer = self.invoke(logical_id, event)
        except (BotoCoreError, ClientError) as exc:
            return str(exc)
        error: str | None = (answer or {}).get("errorMessage")
        return error

    def invoke(self, logical_id: str, event: Mapping[str, object]) -> Any:
        """Invoke a function of the template as EventBridge does, wait for it and return its result."""
        answer = self.local_aws.client("lambda").invoke(
            FunctionName=function_name(logical_id, local_aws=self.local_aws), Payload=json.dumps(dict(event))
        )
        return json.load(answer["Payload"])

    def _logs_of(self, run_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.invoke("OperateFunction", {"command": "logs", "run_id": run_id, "at_most": 1000})
        return answer

    def _lock(self) -> None:
        # Lock the folder itself: the lock ends with the process in every case and leaves no lock file behind.
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
                f"Nightshift is already running here: process {running['pid']}, {running['api_url']}\n"
                "It takes over your changes to the code. Press Ctrl-C in its terminal to stop it."
            )
        except (OSError, ValueError, KeyError):
            return f"Another stack is starting or stopping in {self.folder}. Try again when it is done."

    def _clear_up(self) -> None:
        """Remove the processes and files of a killed stack. The lock ensures that they are not in use."""
        ended = 0
        if self.postgres.is_running():
            self.postgres.stop()
            ended = 1
        ended += processes.end_left_behind(self.folder)
        if ended:
            self.say(f"Cleaned up after an earlier run that was killed (processes ended: {ended})")
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        self.file.unlink(missing_ok=True)
        self.sam_file.unlink(missing_ok=True)

    def _check_ports(self) -> None:
        if sentence := complaint(asdict(self.ports), usual=asdict(Ports())):
            raise CannotStart(sentence)

    def _create_database(self) -> None:
        with contextlib.closing(self.connect("postgres")) as connection:
            is_there = connection.run("SELECT FROM pg_database WHERE datname = :name", name=DATABASE)
            if is_there and (changed := self._changed_migrations()):
                self.say(
                    f"The database in {self.folder} is of another version of Nightshift: {changed[0]}.sql has changed. "
                    "Creating a new one; its runs and teams are lost …"
                )
                connection.run(f"DROP DATABASE {DATABASE} WITH (FORCE)")
                is_there = []
            if not is_there:
                connection.run(f"CREATE DATABASE {DATABASE}")

    def _changed_migrations(self) -> list[str]:
        with contextlib.closing(self.connect()) as connection:
            return changed_migrations(connection, sql=CHECKOUT / "sql")

    def connect(self, database: str = DATABASE) -> pg8000.native.Connection:
        """Connect as the operator."""
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
        """Return the variables that the functions have on local AWS only.

        PYTHONPATH shows them the packages that Lambda has in the layer.
        """
        requirements = source / "layers/dependencies/requirements.txt"
        packages = installed_dependencies(
            requirements, checkout=CHECKOUT, build=BUILD, folder=self.folder, say=self.say
        )
        return {
            "PYTHONPATH": str(packages),
            "AWAITS_UPDATES": str(int(self.awaits_updates)),
            # Not a parameter of the template: on AWS, alerts must not reach the machine that they run on.
            "ALERT_SINK_URL": self._alert_sink_url,
        }

    def _seed(self, outputs: Mapping[str, str]) -> dict[str, str]:
        environment = processes.clean_environment() | self.local_aws.environment
        environment |= {
            processes.MARK: str(self.folder),
            "DATABASE_HOST": "127.0.0.1",
            "DATABASE_PORT": str(self.ports.postgres),
            "DATABASE_NAME": DATABASE,
            "DATABASE_USER": roles.OPERATOR,
            "DATABASE_PASSWORD": self.postgres.password,
            "INTEGRATIONS_KEY_ID": outputs["IntegrationsKeyId"],
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "functions")]),
        }
        command = [sys.executable, "-m", "local.seed", str(self.folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=CHECKOUT)
        if done.returncode != 0:
            raise RuntimeError("Could not add the demo team: " + done.stderr.strip().split("\n")[-1])
        made: dict[str, str] = json.loads(done.stdout)
        return made

    def _describe(self, outputs: Mapping[str, str], demo: Mapping[str, str]) -> dict[str, Any]:
        secrets = self.local_aws.client("secretsmanager")
        secret = secrets.get_secret_value(SecretId=outputs["JwtSecretId"])["SecretString"]
        claims = {"sub": demo["admin_id"], "exp": int(time.time()) + TOKEN_DAYS * 86400}
        return {
            "pid": os.getpid(),
            "api_url": api_url(self.local_aws),
            "dashboard_url": dashboard_url(self.local_aws),
            "database_url": self.postgres.url(DATABASE),
            "mailbox_url": self.local_aws.mails_url,
            "mailbox_page_url": self._mailbox_url,
            "alert_sink_url": self._alert_sink_url,
            "revenuecat_url": self._revenuecat_url,
            "aws_endpoint_url": self.local_aws.url,
            "aws_access_key_id": self.local_aws.access_key_id,
            "aws_secret_access_key": self.local_aws.secret_access_key,
            "integrations_key_id": outputs["IntegrationsKeyId"],
            "team_id": demo["team_id"],
            "project_id": demo["project_id"],
            "agent_key": demo["agent_key"],
            "admin_token": jwt.encode(claims, secret, algorithm="HS256"),
        }


@contextlib.contextmanager
def running(stack: Stack) -> Iterator[dict[str, Any]]:
    """Start the stack, and stop it at the end of the block in every case."""
    try:
        yield stack.start()
    finally:
        stack.stop()
