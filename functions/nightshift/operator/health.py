"""The health report: is anything stuck, missed, dead-lettered, unsent or full?"""

from functools import partial
from typing import Any

from nightshift.base.errors import DatabaseReadOnly, sentence
from nightshift.base.settings import Settings
from nightshift.base.wording import short_duration
from nightshift.database.queries import Database
from nightshift.operator.checks import READ_ONLY, Check, Finding, count_of, green, red, report, run, run_all
from nightshift.operator.dead_letters import queues_of, waiting_in
from nightshift.operator.partition_checks import check_partitions
from nightshift.operator.run_checks import checks_of_runs
from nightshift.operator.schedule_checks import checks_of_schedules
from nightshift.operator.sweep_checks import GRACE_S, LONG_S, SWEEP, checks_of_sweep

FULL = 0.9
GIB = 1024**3
NO_DATABASE = "Start the database, or restore network access to it. Runs wait for it and then continue by themselves."
UNREADABLE = "Check that OperateFunction has the permission to read the queue and can reach SQS."


def check_health(*, db: Database, settings: Settings) -> dict[str, Any]:
    """Return ``{"ok", "checks": [{"name", "ok", "says", "do"}]}``; without a database, only checks that need none."""
    lines = [run("database", partial(_database, db), NO_DATABASE)]
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
        Check("database size", partial(_size, db, limit_gib=settings.max_database_size_gb)),
        Check("connections", partial(_connections, db)),
    ]


def _database(db: Database) -> Finding:
    try:
        db.require_writable()
    except DatabaseReadOnly as exc:
        return red(sentence(exc), do=READ_ONLY)
    return green("accepts reads and writes")


def _unsent(kind: str, db: Database, *, do: str) -> Finding:
    """Check the outbox for unsent messages of this ``kind``: mail or event."""
    [unsent] = db.query("outbox_trouble", grace_s=GRACE_S, kind=kind)
    why = f"; {unsent['error']}" if unsent["error"] else ""
    if unsent["overdue"]:
        return red(
            f"{count_of(unsent['overdue'], kind)} not resent by the sweep, the oldest is "
            f"{short_duration(unsent['oldest_s'])} old{why}",
            do=SWEEP,
        )
    if unsent["oldest_s"] > LONG_S:
        return red(
            f"{count_of(unsent['waiting'], kind)} unsent, the oldest is {short_duration(unsent['oldest_s'])} old{why}",
            do=do,
        )
    if unsent["failed"]:
        return red(
            f"{unsent['failed']:,} given up in the last day; latest error: {unsent['failed_error']}",
            do=f"{do} They are not sent again.",
        )
    return green(f"{unsent['waiting']:,} in transit, none given up in the last day")


def _size(db: Database, *, limit_gib: float) -> Finding:
    size_gib = db.query("database_size")[0]["bytes"] / GIB
    if not limit_gib:
        return green(f"{size_gib:.2f} GiB; no limit is set")
    says = f"{size_gib:.2f} of {limit_gib:g} GiB ({size_gib / limit_gib:.0%})"
    if size_gib <= limit_gib:
        return green(says)
    return red(
        says,
        do="db_pruning drops the oldest events every hour. To see its runs: nightshift system runs --type db_pruning",
    )


def _connections(db: Database) -> Finding:
    [found] = db.query("database_connections")
    says = f"{found['connections']} of {found['max_connections']}"
    if found["connections"] < FULL * found["max_connections"]:
        return green(says)
    return red(says, do="Lower WorkerConcurrency, or use a larger database, which allows more.")


def _dead_letters(url: str) -> Finding:
    count = waiting_in(url)
    if not count:
        return green("none")
    return red(f"about {count_of(count, 'message')}", do="nightshift system deadletters")
