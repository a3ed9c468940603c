"""Lambda's runtime on this machine: AWS's own runtime client on the functions' Python, and a Runtime API for it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

import psutil

from local.deployment.build import prune
from local.processes import clean_environment
from local.stack import CHECKOUT
from local.venv import pip, pip_environment
from tests.support.http_server import Reply, Request, serve

PYTHON = CHECKOUT / ".venv/lambda/bin/python"
# Lambda's limit for the answer of a synchronous invocation. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_BYTES = 6 * 1024 * 1024
MEMORY_MB, TIMEOUT_S = 512, 30
NEXT = "/2018-06-01/runtime/invocation/next"


def install_layer(folder: Path, *, platform: str | None = None) -> Path:
    """Install and prune what `make build` puts into the layer: for this machine, or for a wheel ``platform``."""
    # Nothing on this machine imports what is for another platform, so it is not compiled.
    of_platform = ("--platform", platform, "--implementation", "cp", "--no-compile") if platform else ()
    requirements = CHECKOUT / "layers/dependencies/requirements.txt"
    wish = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(folder), "-r", str(requirements))
    command = pip(PYTHON, *of_platform, *wish, of=Path(sys.executable))
    subprocess.run(command, env=pip_environment(), check=True)
    prune(folder)
    return folder


@dataclass(frozen=True)
class Answer:
    """What the function returned, or its error; ``seconds`` of the handler; for the first one with the import."""

    value: Any
    size: int
    is_error: bool
    seconds: float


@dataclass
class Environment:
    """An execution environment of a function: one process, one event at a time."""

    process: subprocess.Popen[str]
    peak_mb: float = 0
    _events: Queue[dict[str, Any]] = field(default_factory=Queue)
    _answers: Queue[Answer | None] = field(default_factory=Queue)
    _began: float = 0

    def invoke(self, event: dict[str, Any]) -> Answer:
        """Hand an event over and wait for its answer. Raises AssertionError if the process ends without one."""
        self._began = time.monotonic()
        self._events.put(event)
        answer = self._answers.get()
        assert answer is not None, f"The process ended with {self.process.wait()}"
        self.peak_mb = max(self.peak_mb, _peak_bytes(self.process.pid) / 2**20)
        return answer

    def answer(self, request: Request) -> Reply | None:
        """Answer as the Runtime API. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""
        if request.path == NEXT:
            event = self._events.get()
            return Reply(200, json.dumps(event).encode(), _headers()) if event is not None else None
        self._answers.put(
            Answer(
                value=json.loads(request.body or b"null"),
                size=len(request.body),
                is_error=not request.path.endswith("/response"),
                seconds=time.monotonic() - self._began,
            )
        )
        return Reply(202)

    def watch(self) -> None:
        self.process.wait()
        self._answers.put(None)

    def close(self) -> None:
        self._events.put(None)  # type: ignore[arg-type]
        self.process.kill()
        self.process.wait()


@contextmanager
def environment(
    task: Path, layer: Path, handler: str, variables: Mapping[str, str], *, log: Path
) -> Iterator[Environment]:
    """Start the environment of a function whose code is in ``task``, and whose packages are in ``layer``."""
    ready = threading.Event()
    made: list[Environment] = []

    def answer(request: Request) -> Reply | None:
        ready.wait()
        return made[0].answer(request)

    with serve(answer, keep_alive=True) as url, log.open("w") as output:
        process = subprocess.Popen(
            [PYTHON, "-m", "awslambdaric", handler],
            cwd=task,
            env=clean_environment() | _variables(task, layer, handler, url) | dict(variables),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        it = Environment(process)
        made.append(it)
        ready.set()
        watcher = threading.Thread(target=it.watch)
        watcher.start()
        try:
            yield it
        finally:
            it.close()
            watcher.join()


def _headers() -> dict[str, str]:
    deadline_ms = int((time.time() + TIMEOUT_S) * 1000)
    return {
        "Lambda-Runtime-Aws-Request-Id": os.urandom(16).hex(),
        "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:nightshift",
        "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
        "Content-Type": "application/json",
    }


def _variables(task: Path, layer: Path, handler: str, url: str) -> dict[str, str]:
    return {
        "AWS_LAMBDA_RUNTIME_API": url.removeprefix("http://"),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MB),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "LAMBDA_TASK_ROOT": str(task),
        "PYTHONPATH": str(layer),
        # As in Lambda, where the folders of the code cannot be written to.
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": ":UTC",
        "_HANDLER": handler,
    }


def _peak_bytes(pid: int) -> int:
    """Return the largest memory so far where the system counts it (Linux), or that of now."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return int(psutil.Process(pid).memory_info().rss)
    [peak] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(peak) * 1024
