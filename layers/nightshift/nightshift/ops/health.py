"""What an owner asks at 3 a.m.: is anything stuck, missed, dead-lettered or unsent, and how full is the database?"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

from nightshift.cron import from_five_fields
from nightshift.database import Database
from nightshift.errors import DatabaseBusy, DatabaseGone, sentence
from nightshift.ops.checks import Check, count_of, green, red, report
from nightshift.ops.deadletters import queues_of, waiting_in
from nightshift.ops.partitions import check_partitions
from nightshift.pauses import list_pauses
from nightshift.pauses import sentence as pause_sentence
from nightshift.settings import Settings
from nightshift.timeline import explain
from nightshift.wording import short_duration

# The sweep comes every minute: what it has passed over twice is stuck.
GRACE_S = 150
# A queue this long behind, or a mail this long unsent, is nothing that heals by itself soon.
LONG_S = 900
FULL = 0.9
GIB = 1024**3
SWEEP = "The sweep heals this once a minute: look at the log of SweepFunction, and whether its rule is enabled."


def check_health(*, db: Database, settings: Settings) -> dict[str, Any]:
    """``{"ok", "checks": [{"name", "ok", "says", "do"}]}``; without a database the checks that need none."""
    checks = []
    try:
        checks.append(_stuck(db))
        checks.append(_waiting(db, lost_slices_limit=settings.lost_slices_limit))
        checks.append(_slots(db))
        checks.append(_successes(db))
        checks.append(_pauses(db))
        checks.append(_failed_system_runs(db))
        checks.append(
            _unsent("mail", db, do="`nightshift system doctor` looks at SES; the log of NotifyFunction says more.")
        )
        checks.append(_unsent("event", db, do="Look whether the bus is there: the log of NotifyFunction says more."))
        checks.append(check_partitions(db, settings))
        [fullness] = db.query("database_fullness")
        checks.append(_size(fullness["size_bytes"] / GIB, limit_gib=settings.max_database_size_gb))
        checks.append(_connections(fullness["connections"], limit=fullness["max_connections"]))
    except (DatabaseGone, DatabaseBusy) as exc:
        do = "Start the database, or open the way to it; runs wait for it and go on by themselves."
        checks.append(red("database", sentence(exc), do=do))
    return report(checks + [_dead_letters(name, url) for name, url, _ in queues_of(settings)])


def _stuck(db: Database) -> Check:
    rows = db.query("stuck_runs", again_if_gone=True, grace_s=GRACE_S)
    if not rows:
        return green("stuck runs", "none")
    first = rows[0]
    return red(
        "stuck runs",
        f"{count_of(first['stuck'], 'run')} not taken on by the sweep; the oldest, {first['job_type']} {first['id']}, "
        f"is {short_duration(first['overdue_s'])} overdue",
        do=SWEEP,
    )


def _waiting(db: Database, *, lost_slices_limit: int) -> Check:
    run = db.one("oldest_waiting_run")
    if run is None:
        return green("waiting runs", "none")
    _, why, _, _ = explain(run, lost_slices_limit=lost_slices_limit)
    late_s = (run["now"] - run["due_at"]).total_seconds()
    says = (
        f"{run['waiting']:,}; the first in line is {run['job_type']} {run['id']}, "
        f"made {short_duration((run['now'] - run['created_at']).total_seconds())} ago: {why}"
    )
    if late_s < LONG_S:
        return green("waiting runs", says)
    return red(
        "waiting runs",
        f"{says}, for {short_duration(late_s)}",
        do="Look at the log of WorkerFunction. Where it works but cannot keep up, raise WorkerConcurrency.",
    )


def _slots(db: Database) -> Check:
    rows = db.query("schedules_with_slots")
    overdue = [f"{row['job_type']} of {_day(slot)}" for row in rows for slot in _open_slots(row)]
    if overdue:
        return red(
            "schedules",
            f"{count_of(len(overdue), 'slot')} did not fire and are not accounted for; the first: {overdue[0]}",
            do="The sweep accounts for them after 15 minutes. Later than that, look at the log of SweepFunction.",
        )
    if missed := db.query("missed_slots"):
        says = ", ".join(f"{row['job_type']} {row['missed']} (last {_day(row['slot'])})" for row in missed)
        return red(
            "schedules",
            f"missed in the last day: {says}",
            do="What ran since: nightshift system schedules. Why: the log of ScheduleFunction, and whether the rule "
            f"is enabled. To run it now: nightshift system trigger {missed[0]['job_type']}",
        )
    return green("schedules", f"{count_of(len(rows), 'schedule')}, no slot missed in the last day")


def _open_slots(schedule: dict[str, Any]) -> list[datetime]:
    """The slots of the last day that should have fired by now and that nobody has accounted for."""
    latest = schedule["now"] - timedelta(seconds=GRACE_S)
    begin = max(schedule["next_slot"], schedule["now"] - timedelta(days=1)).astimezone(UTC)
    slots = from_five_fields(schedule["cron"]).slots_after(begin - timedelta(seconds=1))
    return [slot for slot in takewhile(lambda slot: slot <= latest, slots) if slot not in schedule["slots"]]


def _successes(db: Database) -> Check:
    rows = db.query("list_successes")
    overdue = [row for row in rows if row["is_overdue"]]
    if not overdue:
        return green("successes", f"{count_of(len(rows), 'scheduled job')}, none without a success for too long")
    says = ", ".join(f"{row['job_type']} for {short_duration(row['silent_s'])}" for row in overdue)
    do = f"What it did: nightshift system runs --type {overdue[0]['job_type']}"
    return red("successes", f"no success for longer than expected: {says}", do=do)


def _pauses(db: Database) -> Check:
    rows = list_pauses(db)
    return green("pauses", "; ".join(pause_sentence(row, label=row["job_type"]) for row in rows) or "none")


def _failed_system_runs(db: Database) -> Check:
    run = db.one("failed_system_runs")
    if run is None:
        return green("system runs", "none failed in the last day")
    return red(
        "system runs",
        f"{run['failed']:,} failed in the last day; the last: {run['job_type']}: {run['error']}",
        do=f"nightshift system view {run['id']}",
    )


def _unsent(kind: str, db: Database, *, do: str) -> Check:
    """``kind`` of the outbox: mail or event."""
    name, [unsent] = f"{kind}s", db.query("outbox_trouble", grace_s=GRACE_S, kind=kind)
    why = f"; {unsent['error']}" if unsent["error"] else ""
    if unsent["overdue"]:
        return red(
            name,
            f"{count_of(unsent['overdue'], kind)} not sent on by the sweep, the oldest for "
            f"{short_duration(unsent['oldest_s'])}{why}",
            do=SWEEP,
        )
    if unsent["oldest_s"] > LONG_S:
        return red(
            name,
            f"{count_of(unsent['waiting'], kind)} unsent, the oldest for {short_duration(unsent['oldest_s'])}{why}",
            do=do,
        )
    if unsent["failed"]:
        return red(
            name,
            f"{unsent['failed']:,} given up in the last day; the last: {unsent['failed_error']}",
            do=f"{do} What was given up is not sent again.",
        )
    return green(name, f"{unsent['waiting']:,} on their way, none given up in the last day")


def _size(size_gib: float, *, limit_gib: float) -> Check:
    if not limit_gib:
        return green("database size", f"{size_gib:.2f} GiB; no limit is set")
    says = f"{size_gib:.2f} of {limit_gib:g} GiB ({size_gib / limit_gib:.0%})"
    if size_gib <= limit_gib:
        return green("database size", says)
    return red(
        "database size",
        says,
        do="db_pruning drops the oldest events every hour; what it did: nightshift system runs --type db_pruning",
    )


def _connections(count: int, *, limit: int) -> Check:
    says = f"{count} of {limit}"
    if count < FULL * limit:
        return green("connections", says)
    return red("connections", says, do="Lower WorkerConcurrency, or use a larger database: it takes more.")


def _dead_letters(name: str, url: str) -> Check:
    title = f"dead letters: {name}"
    count, trouble = _tried(lambda: waiting_in(url))
    if trouble:
        return red(title, trouble, do="Look whether OpsFunction may read the queue and reaches SQS.")
    if not count:
        return green(title, "none")
    return red(title, f"about {count_of(count, 'message')}", do="nightshift system deadletters")


def _tried(call: Callable[[], int]) -> tuple[int, str]:
    """What it returns, or the sentence of what it raises: one queue's trouble must not hide what else there is."""
    try:
        return call(), ""
    except Exception as exc:
        return 0, sentence(exc)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
