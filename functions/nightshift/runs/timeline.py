"""The timeline of a run: its slices, and one sentence that says what it is doing or why it is not moving."""

from datetime import datetime, timedelta
from typing import Any

from nightshift.base.paging import fitting
from nightshift.base.settings import Settings
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database, Row
from nightshift.runs.log_links import logs_url
from nightshift.runs.reading import LIVE

MAX_SLICES = 1000
# The sweep runs every minute. If it is more than two minutes late, it may be paused or failing.
OVERDUE = timedelta(minutes=2)


def timeline(run: Row, *, db: Database, settings: Settings, at_most: int = MAX_SLICES) -> dict[str, Any]:
    """Return ``{"state", "why", "since", "until", "cancel_requested_at", "cancel_requested_by", "rerun_of",
    "logs_url", "slices_left_out", "timeline": [...]}`` with the newest slices: up to ``at_most``, or as many as fit
    into one response.
    """
    slices = [_as_json(row) for row in db.query("list_slices", run_id=run["id"], at_most=at_most)]
    slices = slices[len(slices) - fitting(reversed(slices)) :]
    state, why, since, until = explain(run, lost_slices_limit=settings.lost_slices_limit)
    return {
        "state": state,
        "why": why,
        "since": timestamp(since),
        "until": timestamp(until),
        "cancel_requested_at": timestamp(run["cancel_requested_at"]),
        "cancel_requested_by": run["cancel_requested_by"],
        "rerun_of": run["rerun_of"] and str(run["rerun_of"]),
        "logs_url": logs_url(run, settings=settings),
        # Slices are numbered from 0, without a gap.
        "slices_left_out": slices[0]["slice"] if slices else 0,
        "timeline": slices,
    }


def _as_json(slice: Row) -> dict[str, Any]:
    times = {"started_at": timestamp(slice["started_at"]), "ended_at": timestamp(slice["ended_at"])}
    return slice | times


def explain(run: Row, *, lost_slices_limit: int) -> tuple[str, str, datetime | None, datetime | None]:
    """Return state, sentence, since and until. The row carries the database's ``now``."""
    now, lease, due = run["now"], run["lease_expires_at"], run["due_at"]
    lost = f"lost slice {run['lost_slices']} of {lost_slices_limit}"
    if run["status"] not in LIVE:
        return "ended", f"It is {run['status']}", run["completed_at"], None
    if lease and run["cancel_requested_at"]:
        return "cancelling", "It will stop at its next step", run["cancel_requested_at"], None
    if lease and lease <= now - OVERDUE:
        return "recovering", "Its worker stopped responding, and the sweep that recovers it is overdue", lease, None
    if lease and lease <= now:
        return "recovering", "Its worker stopped responding; the sweep, due every minute, will recover it", lease, None
    if lease:
        return "running", "A worker is running its current step", run["last_step_at"] or run["started_at"], None
    if due > now and run["waiting_for"]:
        return "waiting", f"It is waiting for {run['waiting_for']}", None, due
    if run["lost_slices"]:
        return "recovering", f"Its worker died ({lost}); it will continue from its last step", due, None
    return "queued", "It is waiting for a free worker", due, None
