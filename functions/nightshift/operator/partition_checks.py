"""Check that the event tables have every partition that the job partition_creation should have created."""

from datetime import date
from typing import NamedTuple

from nightshift.base.settings import Settings
from nightshift.database.partitions import describe, find_gaps, merge, months
from nightshift.database.queries import Database
from nightshift.operator.checks import Finding, green, red

# More gaps would not fit into a line.
SHOWN = 3


class Today(NamedTuple):
    """The first days of the current month, and of that of two days ago (current_month.sql)."""

    month: date
    lately: date


def check_partitions(db: Database, settings: Settings) -> Finding:
    """Return a red line if a period has no partition although the daily run should have created it."""
    [today] = db.query_as(Today, "current_month")
    last = max(today.month, months(today.lately, ahead=settings.partition_months_ahead)[-1])
    gaps = find_gaps(db.query, first=today.month, last=last)
    tables = dict.fromkeys(gap["event_table"] for gap in gaps)
    uncovered = [
        f"{table} {describe(gap)}"
        for table in tables
        for gap in merge([gap for gap in gaps if gap["event_table"] == table])
    ]
    if not uncovered:
        return green(f"complete until the end of {last:%Y-%m}")
    more = f" and {len(uncovered) - SHOWN} more" if len(uncovered) > SHOWN else ""
    return red(
        f"missing: {', '.join(uncovered[:SHOWN])}{more}",
        do="nightshift system trigger partition_creation. If that run fails, its error says why.",
    )
