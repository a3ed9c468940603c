"""Pauses: the operator stops a job type, or only its schedule, for a while.

A pause prevents new runs. Live runs continue; cancel them if they should stop.
"""

from typing import Any

from nightshift.base.errors import Refused
from nightshift.base.logger import logger
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database, Row
from nightshift.jobs.job_type import JobType


def pause(job_type: JobType, *, what: str, by: str, why: str, db: Database) -> dict[str, Any]:
    """Pause the ``type`` or its ``schedule`` and return the pause. Raise Refused if it is already paused."""
    while (row := db.one("insert_pause", job_type=job_type.name, what=what, paused_by=by, why=why)) is None:
        # If the type was resumed in between, no pause is found: the insert is tried again.
        for known in list_pauses(db):
            if (known["job_type"], known["what"]) == (job_type.name, what):
                raise Refused(pause_sentence(known, label=job_type.label, already=True), paused=pause_json(known))
    logger.info(pause_sentence(row, label=job_type.label), action="paused", job_type=job_type.name)
    return pause_json(row)


def resume(job_type: JobType, *, db: Database) -> list[dict[str, Any]]:
    """End the pauses of the type and of its schedule, and return them. Raise Refused if there are none."""
    ended = db.query("delete_pauses", job_type=job_type.name)
    if not ended:
        raise Refused(f"{job_type.label} is not paused")
    logger.info(f"{job_type.label} was resumed", action="resumed", job_type=job_type.name)
    return [pause_json(row) for row in ended]


def list_pauses(db: Database, *, again_if_gone: bool = False) -> list[Row]:
    """Return ``job_type, what, paused_by, why, paused_at`` of each pause."""
    return db.query("list_pauses", again_if_gone=again_if_gone)


def refuse_paused(job_type: JobType, *, db: Database) -> None:
    """Raise Refused, with the pause as ``paused``, if this job type is paused."""
    for row in list_pauses(db):
        if (row["job_type"], row["what"]) == (job_type.name, "type"):
            raise Refused(pause_sentence(row, label=job_type.label), paused=pause_json(row))


def pause_sentence(row: Row, *, label: str, already: bool = False) -> str:
    """Return ``RevenueCat Sync is paused (since 2026-11-23 03:00 UTC, by ada): provider maintenance``."""
    what = f"The schedule of {label}" if row["what"] == "schedule" else label
    paused = "already paused" if already else "paused"
    return f"{what} is {paused} (since {row['paused_at']:%Y-%m-%d %H:%M} UTC, by {row['paused_by']}): {row['why']}"


def pause_json(row: Row) -> dict[str, Any]:
    return {
        "job_type": row["job_type"],
        "what": row["what"],
        "since": timestamp(row["paused_at"]),
        "by": row["paused_by"],
        "why": row["why"],
    }
