"""AWS on this machine: ministack, from an environment of its own, as a process that keeps everything in memory."""

import subprocess
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import urllib3
from botocore.config import Config

from local import processes

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}

# Engine and dependencies share an interpreter: the one that runs the functions here.
PYTHON = Path(".venv/engine/bin/python")

START_TIMEOUT_S = 60


@dataclass
class Engine:
    """``folder`` takes its log and what it unpacks; ``checkout`` holds the environment it runs from."""

    folder: Path
    checkout: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "engine.log"

    @property
    def environment(self) -> dict[str, str]:
        """What makes boto3 in another process talk to this engine."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL": self.url}

    def start(self) -> None:
        """Returns when it answers. Raises RuntimeError with the end of its log when it does not."""
        unpacked = self.folder / "tmp"
        unpacked.mkdir(exist_ok=True)
        self.process = processes.start(
            [str(self.checkout / PYTHON), "-m", "ministack"],
            folder=self.folder,
            log=self.log,
            cwd=self.folder,
            environment=CREDENTIALS
            | {
                "GATEWAY_PORT": str(self.port),
                "BIND_HOST": "127.0.0.1",
                # Where it says its own address is: a name may lead to ::1, where nobody listens.
                "MINISTACK_HOST": "127.0.0.1",
                "IOT_MTLS_ENABLED": "0",
                # The template's policies hold here, too: a function may call what its role allows, and nothing else.
                "AUTH": "true",
                # Who called what, for the test that compares the calls with the policies.
                "CLOUDTRAIL_RECORDING": "1",
                "TMPDIR": str(unpacked),
            },
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The AWS engine did not start: {last_lines(self.log)} (all of it is in {self.log})")
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            processes.end(self.process)

    def client(self, service: str) -> Any:
        return self.session.client(
            service,
            endpoint_url=self.url,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=120),
        )

    @cached_property
    def session(self) -> boto3.Session:
        return boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )

    def _answers(self) -> bool:
        try:
            return urllib3.request("GET", f"{self.url}/_ministack/health", timeout=1, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def last_lines(log: Path, count: int = 3) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return " / ".join([line.strip() for line in lines if line.strip()][-count:]) or "it said nothing"
