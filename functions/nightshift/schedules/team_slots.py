"""Decide the slots of teams' schedules that are due. Each gets one row and at most one run, in one statement."""

import uuid
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, NamedTuple
from uuid import UUID

from nightshift.aws import queue
from nightshift.aws.queue import Message
from nightshift.base.errors import Refused
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.jobs.registry import JOB_TYPES
from nightshift.notify import outbox
from nightshift.runs.run_params import check_params
from nightshift.schedules.slots import GRACE
from nightshift.schedules.zoned_cron import zoned_cron

# The runs of one minute are spread over this many seconds, so that they have started before the next ones come.
SPREAD_S = 50
# Missed slots of one schedule that get a row after an outage: the newest ones.
MOST_MISSED = 100
# The team is told when this many slots in a row were skipped.
TELL_AFTER = 3


class DueSchedule(NamedTuple):
    """A schedule that is due, locked by this session (lock_due_schedules.sql)."""

    id: UUID
    job_type: str
    cron: str | None
    zone: str
    params: dict[str, Any]
    next_slot: datetime
    project_id: str


class Decided(NamedTuple):
    """What became of a schedule's slot (start_due_schedules.sql). Without a team, the project is deleted."""

    id: UUID
    job_type: str
    name: str
    team_id: UUID | None
    starts: bool
    reason: str | None
    skipped: int
    run_id: str
    delay_s: float


def decide(
    schedule_ids: Sequence[str], *, now: datetime, already: int, db: Database, settings: Settings
) -> list[Decided]:
    """Decide the slots of these schedules at ``now`` in one transaction, and send the messages of their runs.

    ``already`` is how many schedules this minute has decided before: the runs are spread over the minute. Schedules
    that another session has decided are left out. A message that cannot be sent is left to the sweep.
    """
    with db.transaction():
        due = db.query_as(DueSchedule, "lock_due_schedules", keys=list(schedule_ids), now=now)
        step_s = SPREAD_S / settings.scheduled_starts_per_minute
        slots = [
            _slot_of(schedule, now=now, delay_s=min(SPREAD_S, place * step_s))
            for place, schedule in enumerate(due, start=already)
        ]
        rows = db.query_as(
            Decided, "start_due_schedules", due={"schedules": slots}, resend_delay_s=settings.resend_delay_s
        )
        for row in rows:
            if row.skipped == TELL_AFTER and not row.starts and row.team_id:
                outbox.mail_team(str(row.team_id), _skipped_alert(row), db=db)
    started = [row for row in rows if row.starts]
    queue.send_all(Message.of(row.run_id, 0, row.team_id, delay_s=row.delay_s) for row in started)
    for row in started:
        logger.info(
            "Run created",
            action="run_created",
            run_id=row.run_id,
            job_type=row.job_type,
            schedule_id=str(row.id),
        )
    return rows


def _slot_of(schedule: DueSchedule, *, now: datetime, delay_s: float) -> dict[str, Any]:
    """Return what start_due_schedules.sql stores: the last slot up to ``now``, those missed before it, and the next."""
    past, following = _slots(schedule, now=now)
    job_type, params, refusal = JOB_TYPES.get(schedule.job_type), dict[str, Any](), None
    if job_type is None:
        refusal = f"this release has no job type {schedule.job_type}"
    else:
        try:
            params = check_params(job_type, schedule.params, project_id=schedule.project_id)["params"]
        except Refused as exc:
            refusal = f"its parameters are no longer valid: {exc}"
    return {
        "id": str(schedule.id),
        "slot": past[-1].isoformat(),
        "outcome": "started" if now - past[-1] <= GRACE else "caught_up",
        "missed": [slot.isoformat() for slot in past[:-1]],
        "next_slot": following and following.isoformat(),
        "run_id": str(uuid.uuid4()),
        "params": params,
        "provider": job_type and job_type.provider,
        "refusal": refusal,
        "delay_s": delay_s,
    }


def _slots(schedule: DueSchedule, *, now: datetime) -> tuple[list[datetime], datetime | None]:
    """Return the newest slots from ``next_slot`` up to ``now``, and the first one after them."""
    first = schedule.next_slot.astimezone(UTC)
    if schedule.cron is None:
        return [first], None
    cron = zoned_cron(schedule.cron, schedule.zone)
    past = deque([first], maxlen=MOST_MISSED + 1)
    past.extend(takewhile(lambda slot: slot <= now, cron.slots_after(first)))
    return list(past), next(cron.slots_after(past[-1]))


def _skipped_alert(row: Decided) -> outbox.Alert:
    known = JOB_TYPES.get(row.job_type)
    label = known.label if known else row.job_type
    return outbox.Alert(
        subject=f"{label} was skipped {TELL_AFTER} times",
        lines=[
            f'The schedule "{row.name}" of {label} started no run at its last {TELL_AFTER} times.',
            f"The reason of the last time: {row.reason}.",
            "It goes on trying. You get no further mail about it until it has started a run again.",
        ],
    )
