"""Count the endings of runs into days, as the sweep does, so that an overview of weeks reads few rows."""

from collections.abc import Callable

from nightshift.database.queries import Database

# Endings that one statement counts. It holds the sweep's row for as long as it runs.
BATCH = 5000


def count_endings(*, late_s: float, may_go_on: Callable[[], bool], db: Database) -> int:
    """Add the endings that are not counted yet to their days, batch by batch while time remains.

    Each batch is one statement, which moves the time until which all endings are counted. So a repeated or a concurrent
    sweep counts none twice. An ending is counted ``late_s`` seconds after its time: it may commit late. Return how many
    were counted.
    """
    counted = 0
    while may_go_on():
        row = db.one("count_endings", late_s=late_s, at_most=BATCH)
        # Without a row, another sweep is counting.
        counted += row["counted"] if row else 0
        if not (row and row["more"]):
            break
    return counted
