"""AWS on this machine: ministack, from an environment of its own, as a process that keeps everything in memory."""

import os
import secrets
import string
import subprocess
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cli.loopback import without_account
from local import processes

REGION = "us-east-1"

# Engine and dependencies share an interpreter: the one that runs the functions here.
PYTHON = Path(".venv/engine/bin/python")

START_TIMEOUT_S = 60


def _access_key_id() -> str:
    # As AWS makes them.
    return "AKIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16))


@dataclass
class Engine:
    """``folder`` takes its log and what it unpacks; ``checkout`` holds the environment it runs from.

    ``access_key_id`` and ``secret_access_key`` are its account's, ``mail_key`` opens the mails: new with every start.
    """

    folder: Path
    checkout: Path
    port: int
    access_key_id: str = field(default_factory=_access_key_id, init=False)
    secret_access_key: str = field(default_factory=lambda: secrets.token_hex(20), init=False, repr=False)
    mail_key: str = field(default_factory=lambda: secrets.token_hex(16), init=False, repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "engine.log"

    @property
    def mails_url(self) -> str:
        """Where the mails that SES has taken are read, without a signature: the address holds the key."""
        return f"{self.url}/_ministack/{self.mail_key}/ses/messages"

    @property
    def credentials(self) -> dict[str, str]:
        """Its account as variables, and no other: boto3 would read the files of the home for the rest."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @property
    def environment(self) -> dict[str, str]:
        """What makes boto3 in another process talk to this engine."""
        return self.credentials | {"AWS_ENDPOINT_URL": self.url}

    def start(self) -> None:
        """Returns when it answers. Raises RuntimeError with the end of its log when it does not."""
        unpacked = self.folder / "tmp"
        unpacked.mkdir(mode=0o700, exist_ok=True)
        self.process = processes.start(
            [str(self.checkout / PYTHON), "-m", "local.engine"],
            folder=self.folder,
            log=self.log,
            cwd=self.folder,
            environment=self.credentials
            | {
                "PYTHONPATH": str(self.checkout),
                "NIGHTSHIFT_MAIL_KEY": self.mail_key,
                "GATEWAY_PORT": str(self.port),
                "BIND_HOST": "127.0.0.1",
                # Where it says its own address is: a name may lead to ::1, where nobody listens.
                "MINISTACK_HOST": "127.0.0.1",
                "IOT_MTLS_ENABLED": "0",
                # The template's policies hold here, too: a function may call what its role allows, and nothing else.
                "AUTH": "true",
                # Who called what, for the test that compares the calls with the policies.
                "CLOUDTRAIL_RECORDING": "1",
                # It would look for containers that an earlier ministack has left, and end them: not ours.
                "DOCKER_HOST": f"unix://{unpacked}/no-docker",
                "TMPDIR": str(unpacked),
            },
        )
        deadline, sts = time.monotonic() + START_TIMEOUT_S, self.client("sts")
        while not _answers(sts):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The AWS engine did not start: {last_lines(self.log)} (all of it is in {self.log})")
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            processes.end(self.process)

    def client(self, service: str) -> Any:
        with without_account():
            return self.session.client(
                service,
                endpoint_url=self.url,
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=120),
            )

    @cached_property
    def session(self) -> boto3.Session:
        with without_account():
            return boto3.Session(
                aws_access_key_id=self.access_key_id,
                aws_secret_access_key=self.secret_access_key,
                region_name=REGION,
            )


def _answers(sts: Any) -> bool:
    """With its own key: no other program that has taken its port does."""
    try:
        sts.get_caller_identity()
    except (BotoCoreError, ClientError):
        return False
    return True


def last_lines(log: Path, count: int = 3) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return " / ".join([line.strip() for line in lines if line.strip()][-count:]) or "it said nothing"
