"""A run as it is stored: what the outside sees of it, and what the timeline and a rerun need in addition."""

from datetime import datetime
from typing import NamedTuple, TypedDict
from uuid import UUID

from nightshift.base.wording import timestamp

LIVE = ("pending", "running")


class StoredProgress(TypedDict):
    """A run's progress, as its last yield stored it."""

    processed: int
    total: int
    message: str


# These are NamedTuples because a dataclass takes Python ten times as long to create, and each cold start pays for it.
class RunRow(NamedTuple):
    """A run as clients see it: the columns of the view ``job_runs_public``. The API, events and mails use it.

    A column that is added to the view and here is in the API's answers and its OpenAPI document as well.
    """

    id: UUID
    job_type: str
    status: str
    team_id: UUID | None
    project_id: UUID | None
    triggered_by: str
    params: dict[str, object]
    progress: StoredProgress | None
    result: dict[str, object] | None
    error: str | None
    notify: bool
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    waiting_for: str | None
    """Why the next slice starts later. The progress says it, too, for clients that only show a message."""
    schedule_id: UUID | None
    """The team's schedule that started the run. None: a person, a key, or the schedule of a system job did."""

    def as_json(self) -> dict[str, object]:
        """Return the ``job_run`` of the HTTP contract."""
        seen = self._replace(progress=self._told_progress())._asdict()
        return {name: _as_json(value) for name, value in seen.items()}

    def _told_progress(self) -> StoredProgress | None:
        """Return the progress. While the run waits, the message also says what it waits for."""
        progress = self.progress
        waits_for = {"pending": self.waiting_for or "a free worker", "running": self.waiting_for}.get(self.status)
        if not progress or not waits_for:
            return progress
        before = f"{progress['message']}; waiting" if progress["message"] else "Waiting"
        return {**progress, "message": f"{before} for {waits_for}"}


class RunState(NamedTuple):
    """A run with what its timeline explains and what a rerun repeats. ``now`` is the database's time."""

    run: RunRow
    cursor: dict[str, object] | None
    cursor_version: int | None
    lease_expires_at: datetime | None
    due_at: datetime
    last_step_at: datetime | None
    cancel_requested_at: datetime | None
    cancel_requested_by: str | None
    lost_slices: int
    lost_in_total: int
    logged_lines: int | None
    rerun_of: UUID | None
    slice: int
    held_slice: int | None
    held_since: datetime | None
    now: datetime

    @property
    def waits_for_place_since(self) -> datetime | None:
        """Since when the run waits for a place; None also after it got one (runs/places.py)."""
        return self.held_since if self.held_slice == self.slice else None


def _as_json(value: object) -> object:
    if isinstance(value, datetime):
        return timestamp(value)
    return str(value) if isinstance(value, UUID) else value
