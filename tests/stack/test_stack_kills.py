"""A start of the stack is killed at any moment: the next start completes it or starts again."""

import json
import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from local.ports import Ports
from local.processes import left_behind
from local.run import call
from local.stack import Stack, running
from tests.support.stack_world import SHORT, ended, free_ports, triggered, until

pytestmark = pytest.mark.stack

# A stack that starts and stops.
START = """
import json, sys
from pathlib import Path
from local.ports import Ports
from local.stack import Stack, running
folder, ports = sys.argv[1], json.loads(sys.argv[2])
def start():
    with running(Stack(Path(folder), ports=Ports(**ports))):
        print("up", flush=True)
"""

# A boundary is a moment when the start creates something that another start may find: a process, a folder, a file name.
# Each start is killed with SIGKILL before its first boundary that is new: no clean-up runs. Each is a fork, because the
# imports take longer than most of these starts.
AT_EACH_BOUNDARY = """
import multiprocessing, os, signal
forks = multiprocessing.get_context("fork")
def start_up_to(known, told):
    def watch(event, arguments):
        if event in ("subprocess.Popen", "os.rename", "os.mkdir"):
            made = " ".join(map(str, arguments[1])) if event == "subprocess.Popen" else f"{event} {arguments[0]}"
            if made not in known:
                told.send(made)
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)
    start()
known = []
while True:
    ours, theirs = forks.Pipe()
    process = forks.Process(target=start_up_to, args=(known, theirs))
    process.start()
    process.join()
    if process.exitcode != -signal.SIGKILL:
        break
    known.append(ours.recv())
print(json.dumps(known))
sys.exit(process.exitcode)
"""

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def folder(folders: Callable[[], Path]) -> Path:
    return folders()


@pytest.fixture
def ports() -> Ports:
    return free_ports()


@pytest.fixture
def start(folder: Path, ports: Ports, started: Callable[..., subprocess.Popen[str]]) -> Start:
    """``start(code)``: run this code, in which ``start()`` starts a stack in this test's folder and stops it."""
    return lambda code: started("-c", START + code, str(folder), json.dumps(asdict(ports)))


def works(here: dict[str, Any]) -> None:
    run_id = triggered(here)["id"]
    run = until(lambda: ended(here, run_id))
    assert (run["status"], run["progress"]["total"]) == ("completed", 1000), run["error"]
    _, listed = call(here, "GET", "/v1/auth/whoami")
    assert listed["team"]["slug"] == "demo"


def test_killed_before_everything_it_makes(folder: Path, ports: Ports, start: Start) -> None:
    process = start(AT_EACH_BOUNDARY)
    *said, killed_before = process.communicate()[0].splitlines()
    assert (process.returncode, said) == (0, ["up"])
    made = "\n".join(json.loads(killed_before))
    parts = ("initdb", "rename", "--single", "max_connections", "local.revenuecat", "local.aws_process", "local.seed")
    for part in (*parts, "stack.new", "pg_ctl"):
        assert part in made
    assert not (folder / "postgres.new").exists()
    assert left_behind(folder) == []
    with running(Stack(folder, ports=ports, parameters=SHORT)) as here:
        works(here)
    assert left_behind(folder) == []


def test_killed_at_any_moment(folder: Path, ports: Ports, start: Start) -> None:
    """Moments between two boundaries: inside initdb, the migrations, the seed."""
    moments = random.Random(seed := 1)
    for _ in range(3):
        process, delay = start("start()"), moments.uniform(0.3, 10)
        time.sleep(delay)
        process.kill()
        print(f"seed {seed}: killed after {delay:.2f} s, at {process.communicate()[0]!r}")
    with running(Stack(folder, ports=ports, parameters=SHORT)) as here:
        works(here)
    assert left_behind(folder) == []
