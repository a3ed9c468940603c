"""Checks of schedules: does each scheduled job start on time, and succeed often enough?"""

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import NamedTuple

from nightshift.base.wording import short_duration
from nightshift.database.queries import Database
from nightshift.operator.checks import Check, Finding, count_of, green, red
from nightshift.operator.sweep_checks import GRACE_S
from nightshift.runs.pauses import list_pauses
from nightshift.schedules.cron import from_five_fields


class OpenSchedule(NamedTuple):
    """A schedule with the slots from its next one on that are accounted for, as schedules_with_slots.sql returns it."""

    job_type: str
    cron: str
    next_slot: datetime
    now: datetime
    slots: list[datetime]


class MissedSlots(NamedTuple):
    """How many slots of a job type were missed, and the last of them, as missed_slots.sql returns them."""

    job_type: str
    slot: datetime
    missed: int
    has_run_since: bool


class Success(NamedTuple):
    """When a job succeeded last, as list_successes.sql returns it."""

    job_type: str
    silent_s: float
    is_overdue: bool


def checks_of_schedules(db: Database) -> list[Check]:
    return [
        Check("schedules", partial(_slots, db)),
        Check("successes", partial(_successes, db)),
        Check("team schedules", partial(_team_schedules, db)),
        Check("pauses", partial(_pauses, db)),
    ]


def _slots(db: Database) -> Finding:
    rows = db.query_as(OpenSchedule, "schedules_with_slots")
    overdue = [f"{row.job_type} of {_minute(slot)}" for row in rows for slot in _open_slots(row)]
    if overdue:
        return red(
            f"{count_of(len(overdue), 'slot')} did not fire and {'is' if len(overdue) == 1 else 'are'} not accounted "
            f"for; the first: {overdue[0]}",
            do="The sweep accounts for missed slots after 15 minutes. If it does not, check the log of SweepFunction.",
        )
    missed = db.query_as(MissedSlots, "missed_slots")
    says = ", ".join(f"{row.job_type} {row.missed} (last {_minute(row.slot)})" for row in missed)
    if standing := [row for row in missed if not row.has_run_since]:
        return red(
            f"missed in the last day: {says}",
            do="Check the log of ScheduleFunction, and that the rule is enabled. To see later runs: nightshift system "
            f"schedules. To run it now: nightshift system trigger {standing[0].job_type}",
        )
    if missed:
        return green(f"{count_of(len(rows), 'schedule')}; missed in the last day, but run since: {says}")
    return green(f"{count_of(len(rows), 'schedule')}, no slot missed in the last day")


def _open_slots(schedule: OpenSchedule) -> list[datetime]:
    """Return the slots of the last day that should have fired by now and are not accounted for."""
    latest = schedule.now - timedelta(seconds=GRACE_S)
    begin = max(schedule.next_slot, schedule.now - timedelta(days=1)).astimezone(UTC)
    slots = from_five_fields(schedule.cron).slots_after(begin - timedelta(seconds=1))
    return [slot for slot in takewhile(lambda slot: slot <= latest, slots) if slot not in schedule.slots]


def _successes(db: Database) -> Finding:
    rows = db.query_as(Success, "list_successes")
    overdue = [row for row in rows if row.is_overdue]
    if not overdue:
        return green(f"{count_of(len(rows), 'scheduled job')}, none overdue for a success")
    says = ", ".join(f"{row.job_type} for {short_duration(row.silent_s)}" for row in overdue)
    do = f"To see its runs: nightshift system runs --type {overdue[0].job_type}"
    return red(f"no success for longer than expected: {says}", do=do)


def _team_schedules(db: Database) -> Finding:
    row = db.query("late_team_schedules")[0]
    says = f"{count_of(row['schedules'], 'schedule')} of teams"
    if not row["late"]:
        return green(f"{says}, none late")
    return red(
        f"{says}, {row['late']:,} late; the oldest has been due for {short_duration(row['oldest_s'])}",
        do="The sweep starts them every minute, up to ScheduledStartsPerMinute. Check the log of SweepFunction.",
    )


def _pauses(db: Database) -> Finding:
    return green("; ".join(pause.sentence(label=pause.job_type) for pause in list_pauses(db)) or "none")


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
