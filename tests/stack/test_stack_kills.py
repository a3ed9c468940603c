"""A start of the stack is killed at any moment: the next start completes it or starts again."""

import json
import random
import signal
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

# A boundary is a moment when the start creates something that another start may find: a process, a folder, a file name.
# It is killed with SIGKILL before the first boundary that is not in the given list: no clean-up runs.
START = """
import json, os, signal, sys
from pathlib import Path
from local.ports import Ports
from local.stack import Stack, running
folder, ports, known = sys.argv[1], *map(json.loads, sys.argv[2:])
def watch(event, arguments):
    if event in ("subprocess.Popen", "os.rename", "os.mkdir"):
        made = " ".join(map(str, arguments[1])) if event == "subprocess.Popen" else f"{event} {arguments[0]}"
        if known is not None and made not in known:
            print(made, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
stack = Stack(Path(folder), ports=Ports(**ports))
sys.addaudithook(watch)
with running(stack):
    print("up", flush=True)
"""

Start = Callable[[list[str] | None], "subprocess.Popen[str]"]


@pytest.fixture
def folder(folders: Callable[[], Path]) -> Path:
    return folders()


@pytest.fixture
def ports() -> Ports:
    return free_ports()


@pytest.fixture
def start(folder: Path, ports: Ports, started: Callable[..., subprocess.Popen[str]]) -> Start:
    """``start(known)``: a start that is killed before the first boundary that is not in ``known``; never for None."""
    return lambda known: started("-c", START, str(folder), json.dumps(asdict(ports)), json.dumps(known))


def works(here: dict[str, Any]) -> None:
    run_id = triggered(here)["id"]
    run = until(lambda: ended(here, run_id))
    assert (run["status"], run["progress"]["total"]) == ("completed", 1000), run["error"]
    _, listed = call(here, "GET", "/v1/auth/whoami")
    assert listed["team"]["slug"] == "demo"


def test_killed_before_everything_it_makes(folder: Path, ports: Ports, start: Start) -> None:
    killed_before: list[str] = []
    while True:
        process = start(killed_before)
        said = process.communicate()[0].splitlines()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, said
        killed_before.append(said[-1])
    made = "\n".join(killed_before)
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
        process, delay = start(None), moments.uniform(0.3, 10)
        time.sleep(delay)
        process.kill()
        print(f"seed {seed}: killed after {delay:.2f} s, at {process.communicate()[0]!r}")
    with running(Stack(folder, ports=ports, parameters=SHORT)) as here:
        works(here)
    assert left_behind(folder) == []
