"""A run as the API describes it, in the words of the command line."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cli.output import clean

LIVE = ("pending", "running")
STATUSES = (*LIVE, "completed", "failed", "cancelled")
EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 3}

HEADERS = ("RUN", "TYPE", "STATUS", "DONE", "AGE", "TOOK", "MESSAGE", "BY", "PROJECT")
SLICE_HEADERS = ("SLICE", "OUTCOME", "DONE", "STARTED", "TOOK", "WAIT", "REASON")
_ORDER = (
    "id", "job_type", "status", "progress", "why", "result", "error", "params", "notify", "triggered_by", "rerun_of",
    "team_id", "project_id", "created_at", "started_at", "completed_at", "took",
)  # fmt: skip


class ProgressOf(NamedTuple):
    processed: int
    total: int
    counts: str
    message: str


def progress_of(run: Mapping[str, Any]) -> ProgressOf:
    progress = run.get("progress")
    if not isinstance(progress, dict):
        return ProgressOf(0, 0, "", "")
    processed, total = (value if isinstance(value := progress.get(name), int) else 0 for name in ("processed", "total"))
    return ProgressOf(processed, total, f"{processed}/{total}", clean(progress.get("message")))


def row_of(run: Mapping[str, Any], *, now: datetime) -> Sequence[object]:
    """In the order of HEADERS: the most important first."""
    progress = progress_of(run)
    created = _time(run.get("created_at"))
    return (
        run.get("id"),
        run.get("job_type"),
        run.get("status"),
        progress.counts,
        words_for((now - created).total_seconds()) if created else "",
        took(run, now=now),
        run.get("error") or progress.message,
        run.get("triggered_by"),
        run.get("project_id"),
    )


def slice_row_of(part: Mapping[str, Any], *, now: datetime) -> Sequence[object]:
    """In the order of SLICE_HEADERS. A slice that has not ended is at work."""
    started, ended, wait_s = _time(part.get("started_at")), _time(part.get("ended_at")), part.get("wait_s")
    return (
        part.get("slice"),
        part.get("outcome") or "at work",
        part.get("processed"),
        started.strftime("%Y-%m-%d %H:%M:%S") if started else part.get("started_at"),
        words_for(((ended or now) - started).total_seconds()) if started else "",
        words_for(wait_s) if isinstance(wait_s, int) else "",
        part.get("reason"),
    )


def facts_of(run: Mapping[str, Any], *, why: str | None, now: datetime) -> list[tuple[str, object]]:
    """Every field the API gave, the known ones first, and ``why`` the run is not moving."""
    shown = dict(run) | {"why": why, "took": took(run, now=now)}
    progress = progress_of(run)
    if progress.counts:
        shown["progress"] = f"{progress.counts} {progress.message}".strip()
    names = [*_ORDER, *(name for name in shown if name not in _ORDER)]
    return [(clean(name).replace("_", " "), shown[name]) for name in names if shown.get(name) not in (None, "")]


def words_for(duration_s: float) -> str:
    """In the largest unit of which there is one: 45s, 12m, 3h, 5d."""
    seconds = max(0, round(duration_s))
    for unit, length_s in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length_s:
            return f"{seconds // length_s}{unit}"
    return f"{seconds}s"


def took(run: Mapping[str, Any], *, now: datetime | None = None) -> str:
    """From the start to the end, or until ``now`` while it runs."""
    now = now or datetime.now(UTC)
    started, ended = _time(run.get("started_at")), _time(run.get("completed_at"))
    if not started or not (ended or run.get("status") in LIVE):
        return ""
    return str(timedelta(seconds=max(0, round(((ended or now) - started).total_seconds()))))


def _time(text: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo else None
