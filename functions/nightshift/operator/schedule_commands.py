"""The command that lists each schedule with its next slots and the outcomes of its past slots."""

from collections import defaultdict
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import Field

from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs.pauses import list_pauses
from nightshift.schedules.cron import from_five_fields

NEXT_SLOTS = 3


class ScheduleRow(NamedTuple):
    """A schedule with one of its past slots, as list_schedules.sql returns them; without a slot if it has none."""

    job_type: str
    cron: str
    active_since: datetime
    now: datetime
    last_success_at: datetime | None
    slot: datetime | None
    outcome: str | None
    reason: str | None
    run_id: UUID | None
    status: str | None
    error: str | None


def list_schedules(*, slots: Annotated[int, Field(ge=1, le=50)] = 3, db: Database) -> dict[str, Any]:
    """Return ``{"schedules": [{"job_type", "cron", "active_since", "last_success_at", "paused", "next", "last"}]}``.

    ``paused`` lists the pauses of the type and of its schedule. A system job without a schedule has only these.
    """
    paused: dict[str, list[dict[str, object]]] = defaultdict(list)
    for pause in list_pauses(db, again_if_gone=True):
        paused[pause.job_type].append(pause.as_json())
    rows = db.query_as(ScheduleRow, "list_schedules", slots=slots)
    found = {job_type: list(group) for job_type, group in groupby(rows, key=lambda row: row.job_type)}
    unscheduled = [name for name, known in JOB_TYPES.items() if known.scope == "system" and name not in found]
    return {
        "schedules": [
            {
                "job_type": job_type,
                "cron": past[0].cron,
                "active_since": timestamp(past[0].active_since),
                "last_success_at": timestamp(past[0].last_success_at),
                "paused": paused[job_type],
                "next": [timestamp(slot) for slot in next_slots(past[0].cron, after=past[0].now)],
                "last": [
                    {
                        "slot": timestamp(row.slot),
                        "outcome": row.outcome,
                        "reason": row.reason,
                        "run_id": row.run_id and str(row.run_id),
                        "status": row.status,
                        "error": row.error,
                    }
                    for row in past
                    if row.slot
                ],
            }
            for job_type, past in found.items()
        ]
        + [
            {
                "job_type": name,
                "cron": None,
                "active_since": None,
                "last_success_at": None,
                "paused": paused[name],
                "next": [],
                "last": [],
            }
            for name in unscheduled
        ]
    }


def next_slots(cron: str, *, after: datetime, count: int = NEXT_SLOTS) -> list[datetime]:
    """Return the first ``count`` slots, later than ``after``, of a five-field cron in UTC."""
    return list(islice(from_five_fields(cron).slots_after(after.astimezone(UTC)), count))
