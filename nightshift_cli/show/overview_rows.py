"""Rendering of an overview, as the API and the operate function return it, in tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

from nightshift.base.wording import duration, number, short_duration
from nightshift_cli.base.text import clean
from nightshift_cli.remote.names import label_of

FIGURES = ("LAST 14 DAYS", "SUCCESS", "TOOK", "TREND", "WAITED")
HEADERS = ("STATE", "TYPE", "PROJECT", "LAST SUCCESS", "LAST FAILURE", "NEXT", *FIGURES)
# Columns that a narrow line may leave out, the least important first.
OPTIONAL = ("WAITED", "TREND", "TOOK", "LAST FAILURE", "SUCCESS", "NEXT", "LAST 14 DAYS")
ERROR_HEADERS = ("RUNS", "TYPE", "ERROR", "LAST RUN", "WHAT TO DO")
LEGEND = "A character for each day in UTC, the last is today: . no run ended, + all completed, x all failed, ! both."


def row_of(job: Mapping[str, Any], *, now: datetime) -> Sequence[object]:
    """Return the cells in the order of HEADERS."""
    return (
        clean(job.get("state")),
        label_of(job.get("job_type")),
        clean(job.get("project")),
        _ago(job.get("last_completed"), now),
        _ago(job.get("last_failed"), now),
        _until(job.get("next"), now),
        *figures_of(job),
    )


def figures_of(job: Mapping[str, Any]) -> Sequence[str]:
    """Return the cells in the order of FIGURES."""
    rate = job.get("success_rate")
    return (
        strip_of(job),
        f"{_percent(rate)}%" if isinstance(rate, int | float) else "",
        _length(job.get("median_ms")),
        clean(job.get("trend")),
        _length(job.get("waited_ms")),
    )


def strip_of(job: Mapping[str, Any]) -> str:
    """Return a character for each day, the oldest first."""
    days = zip_longest(*(_list(job.get(kind)) for kind in ("completed", "failed")), fillvalue=0)
    return "".join(".+x!"[bool(good) + 2 * bool(bad)] for good, bad in days)


def error_row_of(group: Mapping[str, Any]) -> Sequence[object]:
    """Return the cells in the order of ERROR_HEADERS."""
    runs = group.get("runs")
    return (
        number(runs) if isinstance(runs, int) else "",
        label_of(group.get("job_type")),
        clean(group.get("error")),
        clean(group.get("last_run_id")),
        clean(group.get("advice")),
    )


def _list(of: object) -> list[Any]:
    return of if isinstance(of, list) else []


def _percent(rate: float) -> int:
    """Round, but call no rate 0 or 100 that is not."""
    return round(rate * 100) if rate in (0, 1) else min(99, max(1, round(rate * 100)))


def _length(ms: object) -> str:
    return duration(ms / 1000) if isinstance(ms, int) else ""


def _moment(of: object) -> datetime | None:
    try:
        return datetime.fromisoformat(of["at"]) if isinstance(of, dict) else None
    except (KeyError, TypeError, ValueError):
        return None


def _ago(of: object, now: datetime) -> str:
    moment = _moment(of)
    return f"{short_duration((now - moment).total_seconds())} ago" if moment else "never"


def _until(of: object, now: datetime) -> str:
    moment = _moment(of)
    return f"in {short_duration((moment - now).total_seconds())}" if moment else ""
