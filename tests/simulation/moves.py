"""The possible next moves of a play. A move proposes random arguments and is then made; both are a few lines.

Arguments are text and numbers, so that a play can be printed and repeated. A move that is not possible in the current
state raises Impossible and is left out.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from nightshift.aws.queue import read, slice_in
from nightshift.notify import delivery
from nightshift.notify.announcement import announce
from nightshift.notify.events import MOST_ENTRIES
from nightshift.runs.executor import work
from tests.simulation.actors import Actor
from tests.simulation.faults import OUTSIDE, fates_of

if TYPE_CHECKING:
    from tests.simulation.play import Play

Arguments = tuple[Any, ...]


class Impossible(Exception):
    """The move is not possible in the current state"""


@dataclass(frozen=True)
class Move:
    name: str
    weight: float
    propose: Callable[["Play", Random], Arguments | None]
    make: Callable[..., Arguments | None]
    """Return changed arguments if they must be recorded differently."""

    @property
    def is_steady(self) -> bool:
        """Return whether the move is equally frequent in all plays."""
        return self.weight > 3


MOVES: dict[str, Move] = {}


def move(
    weight: float, propose: Callable[["Play", Random], Arguments | None]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        name = make.__name__.replace("_", " ")
        MOVES[name] = Move(name, weight, propose, make)
        return make

    return register


def one_of(rnd: Random, things: Any) -> Any:
    listed = list(things)
    return rnd.choice(listed) if listed else None


# ---- actors continue ------------------------------------------------------------------------------------------------


def _standing(play: "Play") -> list[Actor]:
    return [actor for actor in play.world.actors if not actor.is_blocked and not actor.frozen]


def _go_on(play: "Play", rnd: Random) -> Arguments | None:
    standing = _standing(play)
    if not standing:
        return None
    # Workers have the most operations. Holders of locks pause longer, so that others meet them.
    pace = [
        (3 if each.environment.function == "worker" else 1) * (0.3 if each.operation.kind == "commit" else 1)
        for each in standing
    ]
    [actor] = rnd.choices(standing, pace)
    rate = play.fault_rate * (4 if actor.operation.kind in OUTSIDE else 1)
    fates = [fate for fate in fates_of(actor.operation) if fate in play.faults]
    fate = rnd.choice(fates) if fates and rnd.random() < rate else ""
    return actor.name, actor.operation.name, fate


@move(30, _go_on)
def go_on(play: "Play", name: str, operation: str, fate: str) -> Arguments:
    """Let an actor continue. ``operation`` is its next operation, for the reader of a play."""
    actor = play.actor(name)
    if actor.is_blocked or actor.frozen or (fate and fate not in fates_of(actor.operation)):
        raise Impossible
    arguments = name, actor.operation.name, fate
    play.let_on(actor, fate)
    return arguments


def _to_freeze(play: "Play", rnd: Random) -> Arguments | None:
    standing = _standing(play)
    worker = one_of(rnd, (actor for actor in standing if actor.environment.function == "worker"))
    actor = worker if worker and rnd.random() < 0.7 else one_of(rnd, standing)
    return (actor.name,) if actor else None


@move(0.5, _to_freeze)
def freeze(play: "Play", name: str) -> None:
    play.actor(name).frozen = True
    play.actor(name).was_disturbed = True
    play.world.faults["frozen"] += 1


@move(0.5, lambda play, rnd: (actor := one_of(rnd, (a for a in play.world.actors if a.frozen))) and (actor.name,))
def thaw(play: "Play", name: str) -> None:
    play.actor(name).frozen = False


@move(
    0.1,
    lambda play, rnd: (
        (actor := one_of(rnd, (a for a in play.world.actors if a.is_blocked or a.frozen))) and (actor.name,)
    ),
)
def kill(play: "Play", name: str) -> None:
    """Kill a worker that waits for a lock or is frozen."""
    play.world.faults["killed while it waited"] += 1
    play.kill(play.actor(name))


# ---- time and messages -----------------------------------------------------------------------------------------------

TICKS = (1, 5, 20, 60, 60, 130, 130, 600, 1100, 4000)


@move(0.6, lambda play, rnd: (rnd.choice(TICKS),))
def pass_time(play: "Play", seconds: int) -> None:
    play.pass_time(seconds)


@move(0.01, lambda play, rnd: (rnd.choice((20 * 3600, 30 * 3600, 80 * 3600)),))
def pass_long_time(play: "Play", seconds: int) -> None:
    play.pass_time(seconds)


def _delivery(play: "Play", rnd: Random) -> Arguments | None:
    is_early = rnd.random() < 0.05
    messages = [
        name for name in play.world.outside.messages if play.world.outside.may_be_received(name, early=is_early)
    ]
    if not messages or len(play.world.actors) > 8:
        return None
    return rnd.choice(messages), is_early, rnd.choice((1, 1, 1, 2)), rnd.choice((31, 120, 120))


@move(10, _delivery)
def deliver(play: "Play", message: str, early: bool, release: int, limit_s: int) -> None:
    """Deliver to a worker of a release, or to the notify or announce function. A worker with 31 s does one step."""
    outside = play.world.outside
    if not outside.may_be_received(message, early=early):
        raise Impossible
    received = outside.receive(message)

    def ended(actor: Actor) -> None:
        if actor.error is None:
            outside.messages.pop(message, None)

    if received.queue == "runs":
        named = slice_in(received.body)
        assert named
        play.start(
            f"worker{play.number}",
            "worker",
            lambda actor: _work(actor, *named),
            release=release,
            limit_s=limit_s,
            claimed=named,
            when_over=ended,
        )
    elif received.queue == "announce":
        names = [name for name in outside.messages if name != message and outside.may_be_received(name)]
        others = [name for name in names if outside.messages[name].queue == "announce"]
        batch = {message: received.body} | {name: outside.receive(name).body for name in others[: MOST_ENTRIES - 1]}
        play.start(f"announce{play.number}", "announce", lambda actor: _announce(actor, batch))
    else:
        notice = read(received.body, "outbox_id")
        assert notice
        play.start(
            f"notify{play.number}",
            "notify",
            lambda actor: _notify(actor, notice["outbox_id"]),
            claimed=(notice["outbox_id"], 0),
            when_over=ended,
        )


def _work(actor: Actor, run_id: str, number: int) -> None:
    work(
        run_id,
        number,
        db=actor.environment.db,
        settings=actor.world.config,
        remaining_s=actor.remaining_s,
        request_id=actor.name,
    )


def _announce(actor: Actor, batch: dict[str, str]) -> None:
    ids = {name: str(json.loads(body)["outbox_id"]) for name, body in batch.items()}
    config, db = actor.world.config, actor.environment.db
    failed = announce(list(ids.values()), db=db, settings=config, remaining_s=actor.remaining_s)
    for name, outbox_id in ids.items():
        if outbox_id not in failed:
            actor.world.outside.messages.pop(name, None)


def _notify(actor: Actor, outbox_id: str) -> None:
    delivery.deliver(outbox_id, db=actor.environment.db, settings=actor.world.config, remaining_s=actor.remaining_s)
