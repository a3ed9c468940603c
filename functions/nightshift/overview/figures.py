"""The figures of the last days: how many runs ended and how, how long they took, and how long they waited."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from nightshift.overview.lengths import added, median_ms, trend

DAYS = 14
RECENT_DAYS = 7
# Endings that the sweep has yet to count, of all teams: those of two minutes, unless very many end.
MOST_RECENT = 2000


def first_day(now: datetime) -> date:
    """Return the first of the days in UTC, of which today is the last."""
    return now.astimezone(UTC).date() - timedelta(days=DAYS - 1)


def day_names(first: date) -> list[str]:
    return [(first + timedelta(days=number)).isoformat() for number in range(DAYS)]


def figures_of(days: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return the figures of days ``[day, completed, failed, cancelled, took, waited]``, which may repeat.

    ``day`` counts from the first one; ``took`` and ``waited`` are histograms.
    """
    counts = {kind: [0] * DAYS for kind in ("completed", "failed", "cancelled")}
    halves: dict[bool, list[Mapping[str, int]]] = {False: [], True: []}
    for day, *of_day, took, _ in days:
        # By the clock of the database, the next day may have begun.
        for kind, runs in zip(counts.values(), of_day, strict=True):
            kind[min(day, DAYS - 1)] += runs
        halves[day >= DAYS - RECENT_DAYS].append(took)
    earlier, recent = added(halves[False]), added(halves[True])
    completed, decided = sum(counts["completed"]), sum(counts["completed"]) + sum(counts["failed"])
    return counts | {
        "success_rate": round(completed / decided, 4) if decided else None,
        "median_ms": median_ms(earlier + recent),
        "recent_median_ms": median_ms(recent),
        "earlier_median_ms": median_ms(earlier),
        "trend": trend(earlier, recent),
        "waited_ms": median_ms(added(day[-1] for day in days)),
    }
