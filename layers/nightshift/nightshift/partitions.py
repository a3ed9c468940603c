"""The event tables and their months."""

from datetime import date

EVENT_TABLES = ("events", "metric_events", "funnel_events")


def months(first: date, *, ahead: int) -> list[date]:
    """The first days of the month of ``first`` and of the ``ahead`` months after it."""
    start = first.year * 12 + first.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(start, start + ahead + 1)]
