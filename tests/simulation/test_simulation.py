"""Plays by chance keep every promise; the simulator repeats itself, and finds the hole in a fence that has one."""

import os
import secrets

import pytest

from nightshift import database
from tests.conftest import settings_for
from tests.simulation.play import Play
from tests.simulation.promises import Broken
from tests.simulation.shrink import explained, outcome
from tests.simulation.world import World

# Together 20,000 moves by chance; in parts, so that each core has its share.
PARTS, PLAYS, MOVES = 10, 5, 400


@pytest.fixture(scope="session")
def world(postgres, superuser):
    world = World(settings_for(postgres, f"simulation_{os.getpid()}"), superuser)
    yield world
    world.owner.close()


@pytest.mark.parametrize("part", range(PARTS))
def test_no_play_breaks_a_promise(world, part):
    seed = secrets.token_hex(4)
    for number in range(PLAYS):
        play = Play(world, f"{seed}-{number}")
        try:
            play.go(MOVES)
        except Broken as broken:
            print(f"{broken}\nSeed {play.seed!r}")
            pytest.fail(explained(play))


def test_a_seed_gives_the_same_play_again(world):
    plays = []
    for _ in range(2):
        play = Play(world, "the same")
        play.go(200)
        plays.append((play.made, dict(world.faults), {run.name: run.status for run in world.runs.values()}))
    assert plays[0] == plays[1]
    assert len(plays[0][0]) == 200


def test_a_hole_in_the_fence_is_found_and_printed_as_a_test(world, monkeypatch):
    real = database.query_text
    whole = real("claim_slice")
    holed = whole.replace("coalesce(ends_by, at.time", "coalesce(NULL, at.time", 1)
    assert holed != whole
    monkeypatch.setattr(database, "query_text", lambda name: holed if name == "claim_slice" else real(name))
    for number in range(40):
        play = Play(world, f"holed-{number}")
        try:
            play.go(MOVES)
        except Broken:
            said = explained(play)
            break
    assert "may take until" in said
    printed = said[said.index("def test_found") :]
    assert printed.count("\n        (") < 25, said
    tests = {"Play": Play}
    exec(printed, tests)
    with pytest.raises(Broken, match="may take until"):
        tests["test_found"](world)
    monkeypatch.undo()
    tests["test_found"](world)


def test_moves_that_are_impossible_are_left_out(world):
    made = [(1, "go on", "worker1", "connect", ""), (2, "sweep"), (3, "thaw", "sweep2"), (4, "cancel", "caller1")]
    play = Play(world, "impossible")
    play.again(made)
    assert play.made == [(2, "sweep"), (3, "thaw", "sweep2")]
    assert outcome(world, "impossible", made) is None
