"""Promises about each committed change. Promises at rest are in rest.py."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.actors import Actor
    from tests.simulation.world import World

LIVE = ("pending", "running")
# The simulator's clock moves a microsecond with each reading, and some columns keep milliseconds.
NEARLY = timedelta(milliseconds=5)

Row = dict[str, Any]


class Broken(Exception):
    """A promise was broken"""


def promise(holds: object, said: str) -> None:
    if not holds:
        raise Broken(said)


def promise_time(found: str | None, expected: datetime, said: str) -> None:
    """Check a time. ``said`` names it in the error."""
    promise(found and abs(moment(found) - expected) <= NEARLY, f"{said}: {found}, not {expected}")


def promise_over(found: str | None, at: datetime, said: str) -> None:
    promise(found and moment(found) <= at + NEARLY, f"{said}: at {at}, before {found}")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Change:
    """A row before and after a change, None if it is new or deleted; the actor that changed it, and the time."""

    before: Row | None
    after: Row | None
    actor: "Actor | None"
    at: datetime
    seen_at: datetime


Judge = Callable[[Change], None]


class Promises:
    def __init__(self, world: "World"):
        # Imported here, because these modules need the definitions above.
        from tests.simulation.notice_promises import NoticePromises
        from tests.simulation.run_promises import RunPromises
        from tests.simulation.slot_promises import SlotPromises

        self.world = world
        self.runs = RunPromises(world)
        self.notices = NoticePromises(world)
        slots = SlotPromises(world)
        self.judges: dict[str, Judge] = {
            "job_runs": self.runs.of_run,
            "steps": self.runs.of_step,
            "lone_steps": self.runs.of_lone_step,
            "job_outbox": self.notices.of_notice,
            "job_schedule_slots": slots.of_slot,
            "job_pauses": slots.of_pause,
        }

    def keep_watch(self) -> None:
        """Check every change that was committed since the last call."""
        for record in self.world.records():
            environment = self.world.sessions.get(record["pid"])
            change = Change(
                before=record["before"],
                after=record["after"],
                actor=environment and environment.actor,
                at=moment(record["at"]),
                seen_at=moment(record["seen_at"]),
            )
            self.judges[record["what"]](change)
        self.runs.of_what_was_committed_together()
