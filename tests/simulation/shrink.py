"""Find the shortest play that still breaks a promise, and write it as a test."""

import re
from collections.abc import Callable, Sequence
from itertools import groupby

from tests.simulation.play import Made, Play
from tests.simulation.promises import Broken
from tests.simulation.world import World

Breaks = Callable[[Sequence[Made]], bool]


def shortened(made: Sequence[Made], breaks: Breaks) -> list[Made]:
    """Leave out whole actors, then ever smaller parts, as long as what is left still breaks something.

    Delta debugging: Zeller, Yesterday, my program worked. Today, it does not. Why?, 1999.
    """
    kept = list(made)
    actors = [list(moves) for _, moves in groupby(sorted(kept, key=_actor_of), key=_actor_of)]
    for moves in reversed(actors):
        without = [each for each in kept if each not in moves]
        if breaks(without):
            kept = without
    size = max(1, len(kept) // 4)
    while True:
        at, is_shorter = 0, False
        while at < len(kept):
            without = kept[:at] + kept[at + size :]
            if breaks(without):
                kept, is_shorter = without, True
            else:
                at += size
        if size == 1 and not is_shorter:
            return kept
        size = max(1, size // 2)


def explained(play: Play) -> str:
    """Return the promise that the play broke last, as a short test for tests/simulation/test_simulation.py."""
    world, seed, to_rest = play.world, play.seed, play.is_at_rest

    def breaks(made: Sequence[Made]) -> bool:
        return played(world, seed, made, to_rest=to_rest)[1] is not None

    if not breaks(play.made):
        return f"Seed {seed!r} does not break it again: the simulator does not control everything that matters."
    last, said = played(world, seed, shortened(play.made, breaks), to_rest=to_rest)
    lines = "\n".join(f"        {each!r}," for each in last.made)
    test = TEST.format(seed=seed, lines=lines)
    return f"{said}\nSeed {seed!r}, {len(last.made)} of {len(play.made)} moves. As a test:\n\n{test}"


def played(world: World, seed: str, made: Sequence[Made], *, to_rest: bool = True) -> tuple[Play, str | None]:
    """Return the play and the broken promise, or None."""
    play = Play(world, seed)
    try:
        play.again(made, to_rest=to_rest)
    except Broken as broken:
        return play, str(broken)
    return play, None


def _actor_of(made: Made) -> int:
    """Return the number of the move that started the actor: names end with it."""
    number, name, *arguments = made
    named = re.fullmatch(r"[a-z]+(\d+)", str(arguments[0])) if arguments else None
    return int(named[1]) if named and name != "rerun" else number


TEST = """def test_found(world):
    made = [
{lines}
    ]
    Play(world, {seed!r}).again(made)
"""
