"""Local AWS: ministack in its own process and virtual environment. It keeps everything in memory."""

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

from local import processes
from nightshift_cli.remote.loopback import without_account

REGION = "us-east-1"

# The interpreter of ministack, which also runs the functions.
PYTHON = Path(".venv/local-aws/bin/python")

START_TIMEOUT_S = 60


def _access_key_id() -> str:
    # In AWS's format.
    return "AKIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16))


@dataclass
class LocalAws:
    """Local AWS. ``folder`` holds its log and unpacked files; ``checkout`` holds its virtual environment.

    Each instance has new credentials: ``access_key_id`` and ``secret_access_key`` are the account's, and ``mail_key``
    gives access to the mails.
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
        return self.folder / "local-aws.log"

    @property
    def mails_url(self) -> str:
        """Return the URL of the mails that SES has accepted. Requests need no signature: the URL holds the key."""
        return f"{self.url}/_ministack/{self.mail_key}/ses/messages"

    @property
    def credentials(self) -> dict[str, str]:
        """Return the account as environment variables. They also keep boto3 from reading files in the home folder."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that direct boto3 in another process to local AWS."""
        return self.credentials | {"AWS_ENDPOINT_URL": self.url}

    def start(self) -> None:
        """Start the process and wait until it answers. Raise RuntimeError with the end of its log if it does not."""
        unpacked = self.folder / "tmp"
        unpacked.mkdir(mode=0o700, exist_ok=True)
        self.process = processes.start(
            [str(self.checkout / PYTHON), "-m", "local.aws_process"],
            folder=self.folder,
            log=self.log,
            cwd=self.folder,
            environment=self.credentials
            | {
                "PYTHONPATH": str(self.checkout),
                "NIGHTSHIFT_MAIL_KEY": self.mail_key,
                "GATEWAY_PORT": str(self.port),
                "BIND_HOST": "127.0.0.1",
                # The host in its own URLs. A name could resolve to ::1, where no server listens.
                "MINISTACK_HOST": "127.0.0.1",
                "IOT_MTLS_ENABLED": "0",
                # Enforce the template's policies: a function may call only what its role allows.
                "AUTH": "true",
                # Record callers and calls, for the test that compares them with the policies.
                "CLOUDTRAIL_RECORDING": "1",
                # Keep ministack from ending containers of other ministack processes.
                "DOCKER_HOST": f"unix://{unpacked}/no-docker",
                "TMPDIR": str(unpacked),
            },
        )
        deadline, sts = time.monotonic() + START_TIMEOUT_S, self.client("sts")
        while not _answers(sts):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Local AWS did not start: {last_lines(self.log)} (full log: {self.log})")
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
    """Return whether the server accepts the key. Another program on the same port would not."""
    try:
        sts.get_caller_identity()
    except (BotoCoreError, ClientError):
        return False
    return True


def last_lines(log: Path, count: int = 3) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return " / ".join([line.strip() for line in lines if line.strip()][-count:]) or "its log is empty"
