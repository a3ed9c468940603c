"""Checks of the sweep: does it run every minute, and does it heal the rows that it finds?"""

from datetime import datetime
from functools import partial
from typing import NamedTuple

from nightshift.base.wording import short_duration
from nightshift.database.queries import Database
from nightshift.healing.set_aside import SLOW, trouble
from nightshift.operator.checks import Check, Finding, count_of, green, red

# The sweep runs every minute. It is red if it missed two turns, and so is a row that it passed over twice.
SILENT_S, GRACE_S = 120, 150
# A queue that lags this far, or a mail unsent for this long, does not recover soon by itself.
LONG_S = 900
SWEEP = "The sweep heals this every minute. Check the log of SweepFunction, and that its rule is enabled."


class SetAsideRow(NamedTuple):
    """A row that the sweep could not heal, as list_set_aside.sql returns it."""

    healer: str
    key: str
    error: str
    attempts: int
    since: datetime
    now: datetime


class UntoldEndings(NamedTuple):
    """How many runs ended without mails and event, and the first of them, as untold_endings.sql returns them."""

    untold: int
    run_id: str
    error: str
    oldest_s: float


def checks_of_sweep(db: Database) -> list[Check]:
    return [
        Check("sweep", partial(_sweep, db)),
        Check("set aside", partial(_set_aside, db)),
        Check("endings", partial(_endings, db)),
    ]


def _sweep(db: Database) -> Finding:
    ago_s: float = db.query("sweep_came")[0]["ago_s"]
    says = f"last ran {short_duration(ago_s)} ago"
    if ago_s <= SILENT_S:
        return green(says)
    return red(
        f"{says}; it should run every minute. Until it does, lost work is not recovered",
        do="Check the log of SweepFunction, and that its rule is enabled.",
    )


def _set_aside(db: Database) -> Finding:
    # A row without a counted attempt met a lock or a lost connection: the sweep tries it again in a minute.
    rows = [row for row in db.query_as(SetAsideRow, "list_set_aside") if row.key != SLOW and row.attempts]
    if not rows:
        return green("the sweep heals every row that it finds")
    first = rows[0]
    return red(
        f"{count_of(len(rows), 'row')} cannot be healed. {trouble(first.healer, first.key)}: {first.error} "
        f"(for {short_duration((first.now - first.since).total_seconds())}, "
        f"{count_of(first.attempts, 'attempt')})",
        do="Fix the cause; the sweep tries again within ten minutes. For missing rights: nightshift system doctor. To "
        "list all rows: SELECT * FROM job_set_aside;",
    )


def _endings(db: Database) -> Finding:
    [found] = db.query_as(UntoldEndings, "untold_endings")
    if not found.untold:
        return green("every ended run has its mails and its event")
    says = (
        f"{count_of(found.untold, 'run')} ended without mails and event; the first, "
        f"{found.run_id}, {short_duration(found.oldest_s)} ago: {found.error}"
    )
    if found.oldest_s < GRACE_S:
        return green(says)
    return red(says, do=f"Fix the cause. {SWEEP}")
