"""Schedules and their slots. Each slot gets exactly one row, from the first delivery or sweep."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import NamedTuple

from pg8000.exceptions import DatabaseError

from nightshift.aws import queue
from nightshift.aws.queue import Message
from nightshift.base import metrics
from nightshift.base.errors import ConfigurationError, NightshiftError
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.jobs.registry import JOB_TYPES, job_type
from nightshift.notify import outbox
from nightshift.schedules.cron import BadCron, Cron, from_eventbridge, from_five_fields

# EventBridge delivers within a minute and retries for as long as its rules say (template.yaml). Later deliveries are
# left to the sweep; otherwise an outage would end in a storm of old slots.
GRACE = timedelta(minutes=15)

# Slots of one job type that one sweep records. A schedule that fires every minute has 1,440 slots a day.
SLOTS_AT_ONCE = 500

# The operator is alerted when a job has not succeeded for two slots plus this time for the run itself.
LONGEST_RUN = timedelta(hours=1)


class ActiveSchedule(NamedTuple):
    """A schedule, as get_schedule.sql returns it."""

    cron: str
    active_since: datetime


class DueSchedule(NamedTuple):
    """A schedule whose next slot has passed, as lock_overdue_schedule.sql returns it."""

    job_type: str
    cron: str
    next_slot: datetime


class AlreadyDecided(NightshiftError):
    """This slot already has its row"""


def register(schedules: Mapping[str, str], *, now: datetime, db: Database) -> None:
    """Replace all schedules with these EventBridge expressions (``{"db_pruning": "cron(0 * * * ? *)"}``).

    An empty expression means that only the operator starts the job type. An unchanged schedule keeps its history; a
    changed one starts anew at ``now``. Raises ConfigurationError naming the job type and the value.
    """
    active = {name: _cron_of(name, expression) for name, expression in schedules.items() if expression}
    with db.transaction():
        db.query("delete_other_schedules", kept=list(active))
        for name, cron in active.items():
            first = next(cron.slots_after(now))
            db.query("store_schedule", job_type=name, cron=cron.five_fields, active_since=now, next_slot=first)
            expected_within_s = (2 * cron.longest_gap + LONGEST_RUN).total_seconds()
            db.query("store_expectation", job_type=name, expected_within_s=expected_within_s)


def fire(name: str, *, time: datetime, now: datetime, db: Database, settings: Settings) -> str:
    """Handle EventBridge's delivery for ``time``. Return the outcome of the slot.

    - ``started``
    - ``skipped``: the last run is still live, or the job is paused
    - ``duplicate``: the slot was decided before
    - ``late``: the slot is left to the sweep
    - ``early``: the slot is in the future
    - ``inactive``: the slot does not belong to an active schedule

    Raises Refused for an unknown job type.
    """
    active = db.one_as(ActiveSchedule, "get_schedule", job_type=job_type(name).name, again_if_gone=True)
    if active is None:
        return "inactive"
    slot = from_five_fields(active.cron).slot_at(time)
    if slot < active.active_since:
        return "inactive"
    if now - slot > GRACE:
        return "late"
    if slot - now > GRACE:
        return "early"
    try:
        outcome, message = _start(name, slot=slot, outcome="started", db=db, settings=settings)
    except AlreadyDecided:
        return "duplicate"
    if message:
        queue.send_all([message])
    logger.info(f"Slot {slot:%Y-%m-%d %H:%M}: {outcome}", action="slot_decided", job_type=name, outcome=outcome)
    return outcome


def account_for_missed(name: str, *, now: datetime, db: Database, settings: Settings) -> dict[str, int]:
    """Insert the missing rows of this job type's past slots. Return how many slots were caught up and missed.

    The last slot is caught up unless a later one has been decided: one run, however long the outage. The operator is
    alerted. All of this is one transaction; concurrent sweeps share the schedules (SKIP LOCKED).
    """
    counts = {"caught_up": 0, "missed": 0}
    message = None
    try:
        with db.transaction():
            schedule = db.one_as(DueSchedule, "lock_overdue_schedule", job_type=name, until=now - GRACE)
            if schedule:
                message = _account_for(schedule, now=now, counts=counts, db=db, settings=settings)
    except AlreadyDecided:
        logger.info("A late delivery came first; the next sweep looks again", action="slot_decided", job_type=name)
        return {}
    if message:
        queue.send_all([message])
    return counts


def _account_for(
    schedule: DueSchedule, *, now: datetime, counts: dict[str, int], db: Database, settings: Settings
) -> Message | None:
    name, cron = schedule.job_type, from_five_fields(schedule.cron)
    ahead = cron.slots_after(schedule.next_slot - timedelta(seconds=1))
    slots = list(islice(takewhile(lambda slot: slot <= now - GRACE, ahead), SLOTS_AT_ONCE))
    following = next(cron.slots_after(slots[-1]))
    db.query("move_schedule", job_type=name, next_slot=following)
    if pause := db.one("get_pause", job_type=name):
        skipped = [slot for slot in slots if slot >= pause["paused_at"]]
        db.query("insert_slots", job_type=name, slots=skipped, reason=pause["reason"])
    # Catch up only if these are all the missed slots (the next sweep handles the rest of a long outage) and neither the
    # last one nor a later one has fired.
    may_catch_up = (
        not pause and following > now - GRACE and not db.query("decided_slots", job_type=name, since=slots[-1])
    )
    missed = slots[:-1] if may_catch_up else slots
    # Slots that are skipped, or that a delivery has decided, are neither inserted nor reported.
    told: list[datetime] = sorted(
        row["slot"] for row in db.query("insert_slots", job_type=name, slots=missed, reason=None)
    )
    counts["missed"] += len(told)
    outcome, message = "missed", None
    if may_catch_up:
        outcome, message = _start(name, slot=slots[-1], outcome="caught_up", db=db, settings=settings)
        counts["caught_up"] += outcome == "caught_up"
        told.append(slots[-1])
    if not told:
        return None
    outbox.alert(_missed_alert(name, told, outcome), db=db)
    metrics.count("SlotsMissed", len(told))
    logger.warning("Found slots that never fired", action="slots_missed", job_type=name, slots=len(told))
    return message


def _missed_alert(name: str, slots: list[datetime], outcome: str) -> outbox.Alert:
    label = JOB_TYPES[name].label
    times = f"{slots[0]:%Y-%m-%d %H:%M} UTC"
    if len(slots) > 1:
        times = f"{len(slots):,} slots from {times} to {slots[-1]:%Y-%m-%d %H:%M} UTC"
    then = {
        "caught_up": "One run was started now to catch up.",
        "skipped": "Nothing was started to catch up: a run of this type is live.",
        "missed": "Nothing was started to catch up: a later slot has run since, or the job was paused.",
    }[outcome]
    return outbox.Alert(
        subject=f"{label} missed its schedule",
        lines=[
            f"{label} did not start when it was due: {times}.",
            then,
            "If this happens again, check the schedule's EventBridge rule and the function that it calls. "
            "`nightshift system schedules` shows the last slots.",
        ],
    )


def _start(name: str, *, slot: datetime, outcome: str, db: Database, settings: Settings) -> tuple[str, Message | None]:
    """Insert slot and run in one statement. Return the outcome and the run's first message, to be sent after commit.

    Raises AlreadyDecided if the slot has a row; nothing is changed then.
    """
    run_id = str(uuid.uuid4())
    try:
        row = db.query(
            "insert_scheduled_run",
            id=run_id,
            job_type=name,
            slot=slot,
            outcome=outcome,
            params=JOB_TYPES[name].with_defaults({}),
            resend_delay_s=settings.resend_delay_s,
        )[0]
    except DatabaseError as exc:
        if exc.args[0].get("n") != "job_schedule_slots_pkey":
            raise
        raise AlreadyDecided from exc
    return row["outcome"], Message(run_id, 0, "system") if row["outcome"] == outcome else None


def _cron_of(name: str, expression: str) -> Cron:
    known = JOB_TYPES.get(name)
    if known is None or known.scope != "system":
        raise ConfigurationError(f"Cannot schedule {name!r}: it is not a system job")
    if required := known.required_params():
        raise ConfigurationError(
            f"The schedule of {name} cannot be used: schedules pass no parameters, but {', '.join(required)} "
            f"of {known.params} has no default: give it one"
        )
    try:
        return from_eventbridge(expression)
    except BadCron as exc:
        raise ConfigurationError(f"The schedule of {name} cannot be used: {exc}") from exc
