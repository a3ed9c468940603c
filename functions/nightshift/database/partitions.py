"""The event tables, and the time ranges that their partitions have to cover. Months are in UTC."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

EVENT_TABLES = ("events", "metric_events", "funnel_events")

Gap = dict[str, Any]
"""``event_table``, ``since`` and ``until``: a time range within one month for which the table has no partition."""


def months(first: date, *, ahead: int) -> list[date]:
    """Return the first day of the month of ``first`` and of each of the ``ahead`` months after it."""
    start = first.year * 12 + first.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(start, start + ahead + 1)]


def find_gaps(query: Callable[..., list[dict[str, Any]]], *, first: date, last: date) -> list[Gap]:
    """Return the gaps from the month of ``first`` to the month of ``last``, the most urgent first.

    ``query`` runs a query by its name.
    """
    begin, *_, end = [_midnight(day) for day in (*months(first, ahead=0), *months(last, ahead=1))]
    gaps = query("event_gaps", first=begin, last=end)
    parts = [{**gap, "since": since, "until": until} for gap in gaps for since, until in by_month(gap)]
    return sorted(parts, key=lambda part: part["since"].timetuple()[:2])


def by_month(gap: Gap) -> Iterator[tuple[datetime, datetime]]:
    """Split a time range into one part for each month that it touches."""
    since, until = (gap[edge].astimezone(UTC) for edge in ("since", "until"))
    while since < until:
        part_end = min(until, _midnight(months(since, ahead=1)[1]))
        yield since, part_end
        since = part_end


def merge(gaps: list[Gap]) -> list[Gap]:
    """Merge gaps that follow each other without a break."""
    merged: list[Gap] = []
    for gap in gaps:
        if merged and merged[-1]["until"] == gap["since"]:
            merged[-1]["until"] = gap["until"]
        else:
            merged.append(dict(gap))
    return merged


def describe(gap: Gap) -> str:
    """Return, for example, ``from 2026-03-31 22:00:00 to 2026-04-01 00:00:00 (UTC)``."""
    since, until = (f"{gap[edge].astimezone(UTC).replace(tzinfo=None)}" for edge in ("since", "until"))
    return f"from {since} to {until} (UTC)"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
