"""Rendering of a run, as the API returns it, in tables and lists."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from nightshift.base.wording import duration, short_duration, size
from nightshift.jobs.registry import JOB_TYPES
from nightshift_cli.base.text import clean
from nightshift_cli.remote.names import NOBODY, Names, label_of
from nightshift_cli.show.results import param_lines, result_lines
from nightshift_cli.show.times import parsed, second, second_of_slice, zoned_minute

LIVE = ("pending", "running")
STATUSES = (*LIVE, "completed", "failed", "cancelled")
EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 3}

HEADERS = ("RUN", "STATUS", "TYPE", "DONE", "AGE", "TOOK", "PROJECT", "BY", "MESSAGE")
# Columns that a narrow line may leave out, the least important first.
OPTIONAL = ("BY", "TOOK", "MESSAGE", "PROJECT", "AGE", "DONE", "TYPE", "STATUS")
SLICE_HEADERS = ("SLICE", "OUTCOME", "DONE", "STARTED", "TOOK", "WAIT", "REASON")
_ORDER = (
    "id", "job_type", "status", "progress", "why", "since", "until", "cancel_requested_by",
    "cancel_requested_at", "error", "result", "params", "notify", "mail_stopped", "triggered_by", "rerun_of",
    "project_id", "team_id", "created_at", "started_at", "completed_at", "took", "logs_url",
)  # fmt: skip

_FROM_TIMELINE = ("cancel_requested_by", "cancel_requested_at", "rerun_of", "logs_url", "mail_stopped")


class ProgressOf(NamedTuple):
    """A run's progress. ``counts`` renders both numbers; ``done`` adds the percentage until it is complete.

    ``message`` is the job's, without the count if it begins with it: the count is shown anyway.
    """

    processed: int
    total: int
    counts: str
    message: str

    @property
    def done(self) -> str:
        is_on_the_way = 0 <= self.processed < self.total
        return f"{self.counts} {100 * self.processed // self.total}%" if is_on_the_way else self.counts


def progress_of(run: Mapping[str, Any]) -> ProgressOf:
    progress = run.get("progress")
    if not isinstance(progress, dict):
        return ProgressOf(0, 0, "", "")
    processed, total = (value if isinstance(value := progress.get(name), int) else 0 for name in ("processed", "total"))
    known = JOB_TYPES.get(clean(run.get("job_type")))
    written = f"{size(processed)} of {size(total)}" if known and known.counts_bytes else f"{processed}/{total}"
    message, count = clean(progress.get("message")), f"{processed:,} of {total:,}"
    return ProgressOf(processed, total, written, "" if message == count else message.removeprefix(f"{count}, "))


def row_of(run: Mapping[str, Any], *, now: datetime, names: Names = NOBODY, id: str) -> Sequence[object]:
    """Return the cells in the order of HEADERS, the most important first. ``id`` is the run's id as shown."""
    progress = progress_of(run)
    created = parsed(run.get("created_at"))
    return (
        id,
        status_of(run),
        label_of(run.get("job_type")),
        progress.done,
        short_duration((now - created).total_seconds()) if created else "",
        took(run, now=now),
        names.project(run),
        names.starter(run),
        run.get("error") or progress.message,
    )


def status_of(run: Mapping[str, Any]) -> object:
    """Return the run's status. Between two slices, one that waits does not run."""
    return "waiting" if run.get("status") == "running" and run.get("waiting_for") else run.get("status")


def slice_row_of(part: Mapping[str, Any], *, now: datetime) -> Sequence[object]:
    """Return the cells in the order of SLICE_HEADERS. A slice that has not ended is at work."""
    started, ended, wait_s = parsed(part.get("started_at")), parsed(part.get("ended_at")), part.get("wait_s")
    return (
        part.get("slice"),
        part.get("outcome") or "at work",
        part.get("processed"),
        second_of_slice(started) if started else part.get("started_at"),
        _between(started, ended or now) if started else "",
        short_duration(wait_s) if isinstance(wait_s, int) else "",
        part.get("reason"),
    )


def facts_of(
    run: Mapping[str, Any], *, timeline: Mapping[str, Any], now: datetime, names: Names = NOBODY
) -> list[tuple[str, object]]:
    """Return every field of the run, the known ones first, with the timeline's reason for waiting and canceller."""
    told = {name: timeline[name] for name in _FROM_TIMELINE if timeline.get(name)}
    shown = dict(run) | told | {"took": took(run, now=now)}
    if timeline.get("state") != "ended":
        shown |= {"why": timeline.get("why"), "until": _moment(timeline.get("until"), now=now)}
        shown["since"] = _moment(timeline.get("since"), now=now)
    for name in ("created_at", "started_at", "completed_at", "cancel_requested_at"):
        shown[name] = _moment(shown.get(name), now=now)
    progress = progress_of(run)
    if progress.counts:
        shown["progress"] = f"{progress.done} {progress.message}".strip()
    shown |= {"result": result_lines(run.get("result")), "params": param_lines(run)}
    shown |= {"notify": "yes, by mail"} if run.get("notify") is True else {"notify": None}
    for name, called in (
        ("job_type", label_of(run.get("job_type"))),
        ("project_id", names.project(run)),
        ("triggered_by", names.starter(run)),
        ("cancel_requested_by", names.person(shown.get("cancel_requested_by"))),
    ):
        # An unnamed item is called by the start of its id, so the name would repeat the id.
        shown[name] = raw if (raw := clean(shown.get(name))).startswith(called) else f"{called} ({raw})"
    fields = [*_ORDER, *(name for name in shown if name not in _ORDER)]
    return [(clean(name).replace("_", " "), shown[name]) for name in fields if shown.get(name) not in (None, "", [])]


def _moment(timestamp: object, *, now: datetime) -> str:
    """Add how long ago the timestamp is, or in how long. Within a second it counts as past: clocks may differ."""
    at = parsed(timestamp)
    if at is None:
        return clean(timestamp)
    seconds = (now - at).total_seconds()
    away = f"in {short_duration(-seconds)}" if seconds <= -1 else f"{short_duration(seconds)} ago"
    return f"{second(timestamp)} ({away})"


def searched_words(searched: Mapping[str, Any]) -> str:
    """Return how far a search for runs looked."""
    back_to = f", back to {second(searched.get('back_to'))}" if searched.get("back_to") else ""
    return f"Looked at the newest {searched.get('runs', 0):,} runs that match the other filters{back_to}."


def took(run: Mapping[str, Any], *, now: datetime | None = None) -> str:
    """Return the time from the start to the end, or to ``now`` while the run is live."""
    now = now or datetime.now(UTC)
    started, ended = parsed(run.get("started_at")), parsed(run.get("completed_at"))
    if not started or not (ended or run.get("status") in LIVE):
        return ""
    return _between(started, ended or now)


def _between(start: datetime, end: datetime) -> str:
    """Format the duration as the dashboard does."""
    seconds = (end - start).total_seconds()
    return duration(seconds) if seconds >= 1 else "<1 s"


def pause_words(pause: Mapping[str, Any]) -> str:
    """Return ``since 2026-11-23 03:00 UTC by ada: provider maintenance``."""
    return f"since {zoned_minute(pause.get('since'))} by {clean(pause.get('by'))}: {clean(pause.get('why'))}"
