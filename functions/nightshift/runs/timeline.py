"""The timeline of a run: its slices, and one sentence that says what it is doing or why it is not moving."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from nightshift.base.paging import fitting
from nightshift.base.settings import Settings
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.database.run_row import LIVE, RunState
from nightshift.notify.stopped import stopped_of_run
from nightshift.runs.log_links import logs_url

MAX_SLICES = 1000
# The sweep runs every minute. If it is more than two minutes late, it may be paused or failing.
OVERDUE = timedelta(minutes=2)


class SliceRow(NamedTuple):
    """A slice as list_slices.sql returns it."""

    slice: int
    request_id: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    reason: str | None
    wait_s: int | None
    processed: int | None

    def as_json(self) -> dict[str, object]:
        return self._asdict() | {"started_at": timestamp(self.started_at), "ended_at": timestamp(self.ended_at)}


class Explanation(NamedTuple):
    """What a run is doing: one word, one sentence, and the time since or until which it does so."""

    state: str
    why: str
    since: datetime | None = None
    until: datetime | None = None


def timeline(state: RunState, *, db: Database, settings: Settings) -> dict[str, object]:
    """Return the run's timeline as the API shows it: as many of its newest slices as fit into one response, and
    ``mail_stopped``, which says why its reader got no mail.
    """
    slices = newest_slices(state.run.id, at_most=MAX_SLICES, db=db)
    return told(state, slices, settings=settings) | {"mail_stopped": stopped_of_run(state.run, db=db)}


def newest_slices(run_id: UUID, *, at_most: int, db: Database) -> list[SliceRow]:
    """Return the newest slices, the oldest of them first: up to ``at_most``, or as many as fit into one response."""
    slices = db.query_as(SliceRow, "list_slices", run_id=run_id, at_most=at_most)
    return slices[len(slices) - fitting(slice.as_json() for slice in reversed(slices)) :]


def told(state: RunState, slices: Sequence[SliceRow], *, settings: Settings) -> dict[str, object]:
    """Return ``{"state", "why", "since", "until", "cancel_requested_at", "cancel_requested_by", "rerun_of",
    "logs_url", "logged_lines", "slices_left_out", "timeline": [...]}``.
    """
    explained = explain(state, lost_slices_limit=settings.lost_slices_limit)
    return {
        "state": explained.state,
        "why": explained.why,
        "since": timestamp(explained.since),
        "until": timestamp(explained.until),
        "cancel_requested_at": timestamp(state.cancel_requested_at),
        "cancel_requested_by": state.cancel_requested_by,
        "rerun_of": state.rerun_of and str(state.rerun_of),
        "logs_url": logs_url(state, settings=settings),
        "logged_lines": state.logged_lines or 0,
        "slices_left_out": left_out(slices),
        "timeline": [slice.as_json() for slice in slices],
    }


def left_out(newest: Sequence[SliceRow]) -> int:
    """Return how many slices came before these. Slices are numbered from 0, without a gap."""
    return newest[0].slice if newest else 0


def explain(state: RunState, *, lost_slices_limit: int) -> Explanation:
    """Say what the run is doing, or why it is not moving, at the database's ``now``."""
    run, now, lease, due = state.run, state.now, state.lease_expires_at, state.due_at
    lost = f"lost slice {state.lost_slices} of {lost_slices_limit}"
    if run.status not in LIVE:
        return Explanation("ended", f"It is {run.status}", run.completed_at)
    if lease and state.cancel_requested_at:
        return Explanation("cancelling", "It will stop at its next step", state.cancel_requested_at)
    if lease and lease <= now - OVERDUE:
        overdue = "Its worker stopped responding, and the sweep that recovers it is overdue"
        return Explanation("recovering", overdue, lease)
    if lease and lease <= now:
        soon = "Its worker stopped responding; the sweep, due every minute, will recover it"
        return Explanation("recovering", soon, lease)
    if lease:
        return Explanation("running", "A worker is running its current step", state.last_step_at or run.started_at)
    if due > now and run.waiting_for and state.waits_for_place_since:
        return Explanation("waiting", f"It is waiting for {run.waiting_for}", state.waits_for_place_since)
    if due > now and run.waiting_for:
        return Explanation("waiting", f"It is waiting for {run.waiting_for}", until=due)
    if state.lost_slices:
        return Explanation("recovering", f"Its worker died ({lost}); it will continue from its last step", due)
    return Explanation("queued", "It is waiting for a free worker", due)
