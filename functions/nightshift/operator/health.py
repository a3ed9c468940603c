"""The health report: is anything stuck, missed, dead-lettered, unsent or full?"""

from functools import partial
from typing import Any, NamedTuple

from nightshift.base.settings import Settings
from nightshift.base.wording import short_duration
from nightshift.database.queries import Database
from nightshift.operator.checks import Check, Finding, count_of, green, red, report, run, run_all
from nightshift.operator.database_checks import check_writable, checks_of_database
from nightshift.operator.dead_letters import queues_of, waiting_in
from nightshift.operator.partition_checks import check_partitions
from nightshift.operator.run_checks import checks_of_runs
from nightshift.operator.schedule_checks import checks_of_schedules
from nightshift.operator.sweep_checks import GRACE_S, LONG_S, SWEEP, checks_of_sweep

NO_DATABASE = "Start the database, or restore network access to it. Runs wait for it and then continue by themselves."
UNREADABLE = "Check that OperateFunction has the permission to read the queue and can reach SQS."


class UnsentNotices(NamedTuple):
    """The mails or events that are unsent, and those that were given up (outbox_trouble.sql)."""

    overdue: int
    waiting: int
    oldest_s: float
    error: str | None
    failed: int
    failed_error: str | None


def check_health(*, db: Database, settings: Settings) -> dict[str, Any]:
    """Return ``{"ok", "checks": [{"name", "ok", "says", "do"}]}``; without a database, only checks that need none."""
    lines = [run("database", partial(check_writable, db), NO_DATABASE)]
    if lines[0]["ok"]:
        lines += run_all(_checks_in_database(db, settings))
    for name, url, _ in queues_of(settings):
        lines.append(run(f"dead letters: {name}", partial(_dead_letters, url), UNREADABLE))
    return report(lines)


def _checks_in_database(db: Database, settings: Settings) -> list[Check]:
    ses = "Check SES with `nightshift system doctor`, and see the log of NotifyFunction."
    bus = "Check that the event bus exists, and see the log of AnnounceFunction."
    return [
        *checks_of_sweep(db),
        *checks_of_runs(db, lost_slices_limit=settings.lost_slices_limit),
        *checks_of_schedules(db),
        Check("mails", partial(_unsent, "mail", db, do=ses)),
        Check("events", partial(_unsent, "event", db, do=bus)),
        Check("partitions", partial(check_partitions, db, settings)),
        *checks_of_database(db, limit_gib=settings.max_database_size_gb),
    ]


def _unsent(kind: str, db: Database, *, do: str) -> Finding:
    """Check the outbox for unsent messages of this ``kind``: mail or event."""
    [unsent] = db.query_as(UnsentNotices, "outbox_trouble", grace_s=GRACE_S, kind=kind)
    why = f"; {unsent.error}" if unsent.error else ""
    if unsent.overdue:
        return red(
            f"{count_of(unsent.overdue, kind)} not resent by the sweep, the oldest is "
            f"{short_duration(unsent.oldest_s)} old{why}",
            do=SWEEP,
        )
    if unsent.oldest_s > LONG_S:
        return red(
            f"{count_of(unsent.waiting, kind)} unsent, the oldest is {short_duration(unsent.oldest_s)} old{why}",
            do=do,
        )
    if unsent.failed:
        return red(
            f"{unsent.failed:,} given up in the last day; latest error: {unsent.failed_error}",
            do=f"{do} They are not sent again.",
        )
    return green(f"{unsent.waiting:,} in transit, none given up in the last day")


def _dead_letters(url: str) -> Finding:
    count = waiting_in(url)
    if not count:
        return green("none")
    return red(f"about {count_of(count, 'message')}", do="nightshift system deadletters")
