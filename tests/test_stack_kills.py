"""A start of the stack that is killed, wherever it is: the next one finishes it, or does it anew."""

import json
import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from local.processes import left_behind
from local.run import call
from local.stack import Ports, Stack, running
from tests.stack_world import SHORT, ended, free_ports, triggered, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

# A boundary is where the start makes something that another start may find: a process, a folder, a name of a file.
# Before the one that is wanted it is killed, as by the kernel: no clean-up runs. Argument: folder, ports, boundary.
START = """
import itertools, json, os, signal, sys
from pathlib import Path
from local.stack import Ports, Stack, running
folder, ports, wanted = sys.argv[1:]
counted = itertools.count(1)
def watch(event, arguments):
    if event in ("subprocess.Popen", "os.rename", "os.mkdir") and next(counted) == int(wanted):
        print(event, str(arguments)[:150], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
stack = Stack(Path(folder), ports=Ports(**json.loads(ports)), say=lambda sentence: print(sentence, flush=True))
sys.addaudithook(watch)
with running(stack):
    print("up", flush=True)
"""

Start = Callable[[int], "subprocess.Popen[str]"]


@pytest.fixture
def folder(folders: Callable[[], Path]) -> Path:
    return folders()


@pytest.fixture
def ports() -> Ports:
    return free_ports()


@pytest.fixture
def start(folder: Path, ports: Ports, started: Callable[..., subprocess.Popen[str]]) -> Start:
    """``start(boundary)``: one that is killed there; 0 is none."""
    return lambda boundary: started("-c", START, str(folder), json.dumps(asdict(ports)), str(boundary))


def works(here: dict[str, Any]) -> None:
    run_id = triggered(here)["id"]
    run = until(lambda: ended(here, run_id))
    assert (run["status"], run["progress"]["total"]) == ("completed", 1000), run["error"]
    _, listed = call(here, "GET", "/v1/auth/whoami")
    assert listed["team"]["slug"] == "demo"


def test_killed_before_everything_it_makes(folder: Path, ports: Ports, start: Start) -> None:
    story, boundary = [], 0
    while not story or story[-1].split("\n")[-2:] != ["up", ""]:
        boundary += 1
        process = start(boundary)
        story.append(process.communicate()[0])
        assert process.returncode in (-9, 0), story[-1]
    # Each of these was about to be made when a start was killed, and is not made half since.
    killed = "".join(story)
    for part in (
        "initdb",
        "postgres.new",
        "postgres', '--single",
        "revenuecat",
        "local.engine",
        "local.seed",
        "stack.new",
    ):
        assert part in killed, part
    assert not (folder / "postgres.new").exists()
    assert left_behind(folder) == []
    with running(Stack(folder, ports=ports, parameters=SHORT)) as here:
        works(here)
    assert left_behind(folder) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment(folder: Path, ports: Ports, start: Start, seed: int) -> None:
    """What falls between two boundaries: inside initdb, the migrations, the seed."""
    moments = random.Random(seed)
    for _ in range(3):
        process, delay = start(0), moments.uniform(0.3, 10)
        time.sleep(delay)
        process.kill()
        print(f"seed {seed}: killed after {delay:.2f} s, at {process.communicate()[0]!r}")
    with running(Stack(folder, ports=ports, parameters=SHORT)) as here:
        works(here)
    assert left_behind(folder) == []
