"""Random plays keep every promise; the simulator is deterministic, and finds a hole in a fence."""

import os
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.database import queries
from tests.simulation.play import Play
from tests.simulation.promises import Broken
from tests.simulation.shrink import explained, played, shortened
from tests.simulation.world import World
from tests.support.fixtures import settings_for

# Together 20,000 random moves, in parts, so that the cores share them.
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


@pytest.fixture
def hole(monkeypatch):
    """Make the claim restart the run's whole duration."""
    real = queries.query_text
    whole = real("claim_slice")
    holed = whole.replace("coalesce(ends_by, at.time", "coalesce(NULL, at.time", 1)
    assert holed != whole
    monkeypatch.setattr(queries, "query_text", lambda name: holed if name == "claim_slice" else real(name))


def test_a_hole_in_the_fence_is_found_and_printed_as_a_short_test(world, hole, monkeypatch):
    play = Play(world, "printed")
    with pytest.raises(Broken, match="may take until"):
        play.again(
            [
                (1, "trigger", "walk", 0, "oWo", ""),
                (2, "sweep"),
                *((number, "go on", "caller1", "", "") for number in (3, 4, 5)),
                (6, "go on", "sweep2", "", "killed before"),
                (7, "deliver", "caller1.1", False, 1, 120),
                *((number, "go on", "worker7", "", "") for number in range(8, 12)),
                (12, "pass time", 1100),
            ]
        )
    assert (4, "go on", "caller1", "insert_run", "") in play.made
    said = explained(play)
    assert "1 of 12 moves" in said
    printed = said[said.index("def test_found") :]
    assert "(1, 'trigger', 'walk', 0, 'oWo', '')" in printed
    tests = {"Play": Play}
    exec(printed, tests)
    with pytest.raises(Broken, match="may take until"):
        tests["test_found"](world)
    monkeypatch.undo()
    tests["test_found"](world)


@given(st.lists(st.integers(0, 9), unique=True, min_size=1), st.randoms(use_true_random=False))
def test_what_is_shortened_is_what_is_needed(numbers, rnd):
    made = [(number, rnd.choice(("sweep", "go on")), f"sweep{rnd.choice(numbers)}") for number in numbers]
    needed = {each[0] for each in made if rnd.random() < 0.3}
    kept = shortened(made, lambda moves: needed <= {each[0] for each in moves})
    assert {each[0] for each in kept} == needed
    assert kept == [each for each in made if each in kept]


def test_moves_that_are_impossible_are_left_out(world):
    made = [(1, "go on", "worker1", "connect", ""), (2, "sweep"), (3, "thaw", "sweep2"), (4, "cancel", "caller1")]
    play = Play(world, "impossible")
    play.again(made)
    assert play.made == [(2, "sweep"), (3, "thaw", "sweep2")]
    assert played(world, "impossible", made)[1] is None
