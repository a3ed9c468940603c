"""Alerts about scheduled jobs that have not succeeded for longer than expected, whether or not a run has failed."""

from datetime import datetime
from typing import NamedTuple

from nightshift.base import metrics
from nightshift.base.logger import logger
from nightshift.base.wording import duration, moment
from nightshift.database.queries import Database
from nightshift.jobs.registry import JOB_TYPES
from nightshift.notify import outbox


class OverdueSuccess(NamedTuple):
    """A job that should have succeeded by now, as claim_overdue_successes.sql returns it."""

    job_type: str
    last_success_at: datetime | None
    since: datetime
    silent_s: float
    is_paused: bool
    last_error: str | None


def tell_of_overdue(job_types: list[str], *, db: Database) -> int:
    """Mail the operator about each of these jobs that has not succeeded in its time. Return how many there were.

    A job is reported again each time the same period has passed once more. Paused jobs are not reported.
    """
    with db.transaction():
        overdue = [
            row for row in db.query_as(OverdueSuccess, "claim_overdue_successes", keys=job_types) if not row.is_paused
        ]
        for row in overdue:
            outbox.alert(_alert(row), db=db)
    for row in overdue:
        metrics.count("JobsOverdue")
        logger.error("No success for longer than expected", action="job_overdue", job_type=row.job_type)
    return len(overdue)


def _alert(row: OverdueSuccess) -> outbox.Alert:
    name = row.job_type
    label = JOB_TYPES[name].label if name in JOB_TYPES else name
    began = "Its last success was on" if row.last_success_at else "It has not succeeded since"
    lines = [f"{began} {moment(row.last_success_at or row.since)}."]
    if row.last_error:
        lines.append(f"The last error: {row.last_error}")
    lines.append(
        f"To see its schedule: `nightshift system schedules`. To see its runs: `nightshift system runs --type {name}`."
    )
    return outbox.Alert(subject=f"{label} has not succeeded for {duration(row.silent_s)}", lines=lines)
