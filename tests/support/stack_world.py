"""One whole stack for all tests marked ``stack``, and their shared helpers."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pg8000.native
import psutil
import pytest
import urllib3

from local.ports import Ports, free_port
from local.processes import left_behind
from local.run import LIVE, call
from local.stack import BUILD, CHECKOUT, Stack, running

# Only what hangs takes so long, however busy the machine is.
PATIENCE_S = 300
NOT_COPIED = (".git", ".venv", ".local", ".aws-sam", ".*_cache", "__pycache__", ".hypothesis")
# Short times, but long enough for a page of users in a slice.
SHORT = {"WorkerTimeout": "20", "SliceBudget": "12", "SliceReserve": "4", "LeaseMargin": "1", "ResendDelay": "2"}

# How many of the demo's thousand app users a stack of most tests keep. A sync of all takes over a second of CPU.
USERS = 200

# The shortest schedule of a rule is once a minute.
EVERY_MINUTE = {"Schedules": "partition_creation=cron(* * * * ? *)"}
QUICK = {"job_type": "revenuecat_sync", "params": {"mode": "incremental"}}


def until(condition: Callable[[], Any], *, patience_s: float = PATIENCE_S) -> Any:
    """Wait for the condition and return its value. Ask less often from time to time: mostly a whole stack is asked."""
    deadline, pause_s = time.monotonic() + patience_s, 0.05
    while not (met := condition()):
        assert time.monotonic() < deadline, f"not reached within {patience_s} s"
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.3, 0.3)
    return met


def free_ports() -> Ports:
    return Ports(aws=free_port(), postgres=free_port(), revenuecat=free_port(), mailbox=free_port())


def triggered(here: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Trigger a run: of a sync of all users, even if one has been completed before, unless ``fields`` name a type.

    ``QUICK``, for tests that need any run to its end: a sync of few users, after a first one of all.
    """
    sync = {"job_type": "revenuecat_sync", "params": {"mode": "full"}}
    body = ({} if "job_type" in fields else sync) | {"project_id": here["project_id"]} | fields
    status, answer = call(here, "POST", f"/v1/teams/{here['team_id']}/jobs/trigger", body)
    assert status == 201, answer
    return answer["job_run"]


def end_wait(stack: Stack, owner: pg8000.native.Connection, run_id: str) -> None:
    """Wait until the run itself waits, let that time pass, and let the sweep send its message."""
    waits = "SELECT FROM job_slices WHERE run_id = CAST(:id AS uuid) AND outcome IN ('waiting', 'retrying')"
    until(lambda: owner.run(waits, id=run_id))
    age(owner, run_id)
    stack.invoke("SweepFunction", {})


def age(owner: pg8000.native.Connection, run_id: str) -> None:
    """Let an hour pass for which the run waits, or its message is on the way."""
    owner.run(
        "UPDATE job_runs SET due_at = due_at - interval '1 hour', resend_at = resend_at - interval '1 hour'"
        " WHERE id = CAST(:id AS uuid)",
        id=run_id,
    )


@contextmanager
def slow_revenuecat(here: dict[str, Any], *, latency_s: float) -> Iterator[None]:
    """Delay each answer about a customer, so that a run of a sync is still at work when a test disturbs it."""
    faults = here["revenuecat_url"].removesuffix("/v2") + "/_sandbox/faults"
    urllib3.request("POST", faults, json={"latency_s": latency_s, "path": "customers", "times": None})
    try:
        yield
    finally:
        urllib3.request("DELETE", faults)


def ended(here: dict[str, Any], run_id: str) -> dict[str, Any] | None:
    run = call(here, "GET", f"/v1/jobs/{run_id}")[1]["job_run"]
    return None if run["status"] in LIVE else run


def function_processes(folder: Path) -> list[tuple[psutil.Process, dict[str, str]]]:
    """Return the processes that run functions of the stack in ``folder``, and their environments."""
    found = []
    for process in left_behind(folder):
        with suppress(psutil.Error):  # it has ended since it was listed
            environment = process.environ()
            if "AWS_LAMBDA_FUNCTION_NAME" in environment:
                found.append((process, environment))
    return found


@pytest.fixture(scope="session")
def folders() -> Iterator[Callable[[], Path]]:
    """``folders()``: return a folder for a separate stack."""
    with tempfile.TemporaryDirectory(prefix="nightshift-stack-") as parent:
        yield lambda: Path(tempfile.mkdtemp(dir=parent)) / "local"


@pytest.fixture(scope="session")
def stack(folders: Callable[[], Path]) -> Iterator[Stack]:
    stack = Stack(folders(), ports=free_ports(), parameters=SHORT | EVERY_MINUTE)
    with running(stack):
        keep_few_users(stack)
        yield stack


def keep_few_users(stack: Stack) -> None:
    with closing(stack.connect()) as owner:
        owner.run("DELETE FROM app_users WHERE right(user_id, 6) > :last", last=f"{USERS:06}")


@pytest.fixture
def checkout(folders: Callable[[], Path]) -> Path:
    return copied(folders)


def copied(folders: Callable[[], Path]) -> Path:
    """Copy this checkout, with the same environment. A stack may run in it, so it is not below pytest's root folder."""
    copy = folders().parent / "checkout"
    shutil.copytree(CHECKOUT, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (copy / ".venv").symlink_to(sys.prefix)
    # Of `.local` only the installed packages are shared: their installation takes longer than the rest of a start.
    BUILD.mkdir(mode=0o700, parents=True, exist_ok=True)
    (copy / ".local").mkdir(mode=0o700)
    (copy / ".local" / "build").symlink_to(BUILD)
    return copy


def until_it_is_up(run: subprocess.Popen[str]) -> list[str]:
    """Return the lines of `make run` until its stack is up. Raise AssertionError with them if it ends before."""
    assert run.stdout
    story: list[str] = []
    for line in run.stdout:
        if line == "  .venv/bin/nightshift system health\n":
            return story
        story.append(line)
    raise AssertionError("".join(story))


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``started(*arguments)``: start Python on a checkout, with its output captured, and end it after the test.

    ``bare``: its environment contains only the given variables, none of this process.
    """
    processes: list[subprocess.Popen[str]] = []

    def started(
        *arguments: str, checkout: Path = CHECKOUT, bare: bool = False, **environment: str
    ) -> subprocess.Popen[str]:
        processes.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                env=({} if bare else os.environ) | {"PYTHONPATH": os.pathsep.join([".", "functions"])} | environment,
                cwd=checkout,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return processes[-1]

    yield started
    for process in processes:
        process.terminate()
        with process:  # closes its output and waits
            pass


@pytest.fixture
def here(stack: Stack) -> dict[str, Any]:
    return json.loads(stack.file.read_text())


@pytest.fixture
def stack_owner(stack: Stack) -> Iterator[pg8000.native.Connection]:
    """Connect to the stack's database as the schema owner."""
    with closing(stack.connect()) as connection:
        yield connection
