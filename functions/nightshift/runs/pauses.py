"""Pauses: the operator stops a job type, or only its schedule, for a while.

A pause prevents new runs. Live runs continue; cancel them if they should stop.
"""

from datetime import datetime
from typing import NamedTuple

from nightshift.base.errors import Refused
from nightshift.base.logger import logger
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.jobs.job_type import JobType
from nightshift.runs import project_pauses


class Pause(NamedTuple):
    job_type: str
    what: str
    """``type`` or ``schedule``."""
    paused_by: str
    why: str
    paused_at: datetime

    def as_json(self) -> dict[str, object]:
        since = timestamp(self.paused_at)
        return {"job_type": self.job_type, "what": self.what, "since": since, "by": self.paused_by, "why": self.why}

    def sentence(self, *, label: str, already: bool = False) -> str:
        """Return ``RevenueCat Sync is paused (since 2026-11-23 03:00 UTC, by ada): provider maintenance``."""
        what = f"The schedule of {label}" if self.what == "schedule" else label
        paused = "already paused" if already else "paused"
        return f"{what} is {paused} (since {self.paused_at:%Y-%m-%d %H:%M} UTC, by {self.paused_by}): {self.why}"


def pause(job_type: JobType, *, what: str, by: str, why: str, db: Database) -> dict[str, object]:
    """Pause the ``type`` or its ``schedule`` and return the pause. Raise Refused if it is already paused."""
    while (made := _insert(job_type.name, what=what, by=by, why=why, db=db)) is None:
        # If the type was resumed in between, no pause is found: the insert is tried again.
        for known in list_pauses(db):
            if (known.job_type, known.what) == (job_type.name, what):
                raise Refused(known.sentence(label=job_type.label, already=True), paused=known.as_json())
    logger.info(made.sentence(label=job_type.label), action="paused", job_type=job_type.name)
    return made.as_json()


def resume(job_type: JobType, *, db: Database) -> list[dict[str, object]]:
    """End the pauses of the type and of its schedule, and return them. Raise Refused if there are none."""
    ended = db.query_as(Pause, "delete_pauses", job_type=job_type.name)
    if not ended:
        raise Refused(f"{job_type.label} is not paused")
    logger.info(f"{job_type.label} was resumed", action="resumed", job_type=job_type.name)
    return [each.as_json() for each in ended]


def list_pauses(db: Database, *, again_if_gone: bool = False) -> list[Pause]:
    return db.query_as(Pause, "list_pauses", again_if_gone=again_if_gone)


def refuse_paused(job_type: JobType, *, db: Database, project_id: str | None = None) -> None:
    """Raise Refused, with the pause as ``paused``, if this job type is paused: everywhere, or for the project."""
    if project_id:
        for held in project_pauses.pauses_of(project_id, [job_type.name], db=db):
            raise Refused(held.sentence(label=job_type.label), paused=held.as_json())
        return
    for known in list_pauses(db):
        if (known.job_type, known.what) == (job_type.name, "type"):
            raise Refused(known.sentence(label=job_type.label), paused=known.as_json())


def _insert(job_type: str, *, what: str, by: str, why: str, db: Database) -> Pause | None:
    return db.one_as(Pause, "insert_pause", job_type=job_type, what=what, paused_by=by, why=why)
