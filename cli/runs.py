"""A run as the API describes it, in the words of the command line."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cli.output import clean
from nightshift.wording import short_duration

LIVE = ("pending", "running")
STATUSES = (*LIVE, "completed", "failed", "cancelled")
EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 3}

HEADERS = ("RUN", "TYPE", "STATUS", "DONE", "AGE", "TOOK", "MESSAGE", "BY", "PROJECT")
SLICE_HEADERS = ("SLICE", "OUTCOME", "DONE", "STARTED", "TOOK", "WAIT", "REASON")
_ORDER = (
    "id", "job_type", "status", "progress", "why", "since", "until", "cancel_requested_by",
    "cancel_requested_at", "result", "error", "params", "notify", "triggered_by", "rerun_of",
    "team_id", "project_id", "created_at", "started_at", "completed_at", "took",
)  # fmt: skip

_FROM_TIMELINE = ("cancel_requested_by", "cancel_requested_at", "rerun_of")


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
        short_duration((now - created).total_seconds()) if created else "",
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
        short_duration(((ended or now) - started).total_seconds()) if started else "",
        short_duration(wait_s) if isinstance(wait_s, int) else "",
        part.get("reason"),
    )


def facts_of(run: Mapping[str, Any], *, timeline: Mapping[str, Any], now: datetime) -> list[tuple[str, object]]:
    """Every field the API gave, the known ones first; from the timeline why it is not moving and who stopped it."""
    told = {name: timeline[name] for name in _FROM_TIMELINE if timeline.get(name)}
    shown = dict(run) | told | {"took": took(run, now=now)}
    if timeline.get("state") != "ended":
        since = _time(timeline.get("since"))
        ago = f" ({short_duration((now - since).total_seconds())} ago)" if since and since <= now else ""
        shown |= {"why": timeline.get("why"), "until": timeline.get("until")}
        shown["since"] = f"{clean(timeline.get('since'))}{ago}"
    progress = progress_of(run)
    if progress.counts:
        shown["progress"] = f"{progress.counts} {progress.message}".strip()
    names = [*_ORDER, *(name for name in shown if name not in _ORDER)]
    return [(clean(name).replace("_", " "), shown[name]) for name in names if shown.get(name) not in (None, "")]


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
