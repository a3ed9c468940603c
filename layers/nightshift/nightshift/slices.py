"""One claimed slice: the statements of docs/protocol.md that a worker may issue, each fenced by the slice's number."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from nightshift.catalogue import JobType
from nightshift.database import Database, Row
from nightshift.errors import DatabaseBusy, DatabaseGone, JobError, NightshiftError
from nightshift.job import Cursor, Progress
from nightshift.queue import MAX_DELAY_S, Message
from nightshift.settings import Settings

# Kept back from what a job may spend: its last step still has to be committed.
COMMIT_RESERVE_S = 5

# The longest that a statement of run_alone may take: the server gives up before the driver does. And the shortest time
# that is worth a try.
ALONE_TIMEOUT_S, ALONE_AT_LEAST_S = 20, 1

# DDL has no WHERE that could name the slice, so its session is bounded by the lease instead: nobody raises the number
# before the lease is over, and by then the server has ended the statement, or the session of a worker that froze and
# never sent it. From the lease are kept back the time such a session may be idle, and a reserve for ending it.
ALONE_IDLE_S, ALONE_RESERVE_S = 2, 1

# A page of 200 runs has to fit into the six megabytes that Lambda may answer.
MAX_RESULT_BYTES = 16_384


class SliceLost(NightshiftError):
    """Somebody else owns the run now; this worker changes nothing any more"""


class CancelRequested(NightshiftError):
    """Somebody asked for the run to be cancelled"""


class Slice:
    """The run as its job sees it (``nightshift.job.Run``) and the database of its steps (``JobDatabase``)."""

    def __init__(
        self, row: Row, *, job_type: JobType, db: Database, settings: Settings, remaining_s: Callable[[], float]
    ):
        self.id = str(row["id"])
        self.number: int = row["slice"]
        self.job_type = job_type
        self.project_id = row["project_id"] and str(row["project_id"])
        self.params: dict[str, Any] = row["params"]
        self.progress: dict[str, Any] | None = row["progress"]
        self.cursor: Cursor = row["cursor"] if row["cursor_version"] == job_type.version else None
        self.failures: int = row["failures"]
        self._db = db
        self._settings = settings
        self._remaining_s = remaining_s
        self._gone: DatabaseGone | None = None
        self.ended_as: str | None = None
        self._budget_ends_at_s = max(remaining_s() - settings.slice_budget_s, settings.slice_reserve_s)

    @property
    def remaining_s(self) -> float:
        return max(0.0, self._remaining_s() - COMMIT_RESERVE_S)

    @property
    def is_out_of_time(self) -> bool:
        return self._remaining_s() <= self._budget_ends_at_s

    def is_cancelled(self) -> bool:
        rows = self.read("is_cancelled", run_id=self.id, slice=self.number)
        return not rows or rows[0]["cancelled"]

    def read(self, query: str, /, **params: Any) -> list[Row]:
        with self._same_connection():
            return self._db.query(query, **params)

    def write(self, query: str, /, **params: Any) -> list[Row]:
        with self._same_connection():
            if not self._db.in_transaction:
                self._db.begin()
            return self._db.query(query, **params)

    def run_alone(self, statement: str, *, patience_ms: int) -> None:
        alone = self._db.sibling(lock_timeout=f"{patience_ms}ms", idle_session_timeout=f"{ALONE_IDLE_S * 1000:.0f}ms")
        with closing(alone):
            held = alone.one(
                "stay_within_lease",
                run_id=self.id,
                slice=self.number,
                kept_back_s=ALONE_IDLE_S + ALONE_RESERVE_S,
                longest_s=ALONE_TIMEOUT_S,
            )
            if held is None:
                raise SliceLost
            if held["cancel_requested"]:
                raise CancelRequested
            if held["limit_s"] < ALONE_AT_LEAST_S:
                raise DatabaseBusy("Too little is left of the slice's lease for a statement of its own")
            alone.run_script(statement)

    def save(self, step: Progress) -> None:
        """Commit the step with its cursor and progress.

        Raises SliceLost when the run is no longer ours (nothing of the step is kept), CancelRequested after the commit
        when somebody asked for it, DatabaseGone when nobody knows whether the commit took effect.
        """
        progress = step.as_json()
        rows = self._fenced("save_progress", cursor=step.cursor, progress=progress)
        if self._db.in_transaction:
            self._db.commit()
        self.cursor, self.progress, self.failures = step.cursor, progress, rows[0]["failures"]
        if rows[0]["cancel_requested"]:
            raise CancelRequested

    def hand_over(
        self,
        outcome: str,
        *,
        cursor: Cursor,
        progress: Progress | None = None,
        wait_s: float = 0,
        reason: str | None = None,
        failed: bool = False,
    ) -> Message | None:
        """End the slice, so that the next number may start in ``wait_s`` seconds; returns the message to send, if any.

        Raises CancelRequested (nothing is kept) or SliceLost.
        """
        row = self._unless_cancelled(
            "end_slice",
            cursor=cursor,
            progress=progress.as_json() if progress else self.progress,
            wait_s=max(0.0, wait_s),
            outcome=outcome,
            reason=reason,
            waiting_for=reason,
            failed=failed,
            max_delay_s=MAX_DELAY_S,
            resend_delay_s=self._settings.resend_delay_s,
        )
        return Message.of(row, wait_s) if wait_s <= MAX_DELAY_S else None

    def complete(self, result: dict[str, Any] | None) -> None:
        """Raises CancelRequested (nothing of the last step is kept), SliceLost, or JobError for what is no result."""
        try:
            size = len(json.dumps(result or {}, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as exc:
            raise JobError(f"The result is not JSON: {exc}") from exc
        if size > MAX_RESULT_BYTES:
            raise JobError(f"The result has {size:,} bytes; a result may have {MAX_RESULT_BYTES:,}")
        self._unless_cancelled("end_run", status="completed", result=result or {}, error=None)
        self.ended_as = "completed"

    def fail(self, error: str) -> None:
        """Raises CancelRequested or SliceLost."""
        self._unless_cancelled("end_run", status="failed", result=None, error=error)
        self.ended_as = "failed"

    def cancel(self) -> None:
        """Raises SliceLost."""
        self._fenced("end_run", status="cancelled", result=None, error=None)
        self.ended_as = "cancelled"

    def rollback(self) -> None:
        """Forget what the job wrote since its last yield."""
        self._db.rollback()

    def _unless_cancelled(self, query: str, **params: Any) -> Row:
        # Both refuse a row with a cancel request. Whether it was that or a lost fence, the ending as cancelled tells:
        # it is fenced too, and finds no row when the slice is lost.
        try:
            rows = self._fenced(query, **params)
        except SliceLost as exc:
            raise CancelRequested from exc
        if self._db.in_transaction:
            self._db.commit()
        return rows[0]

    @contextmanager
    def _same_connection(self) -> Iterator[None]:
        """A lost connection took the step's first half with it: a job that shrugs it off must not commit the rest."""
        if self._gone:
            raise self._gone
        try:
            yield
        except DatabaseGone as exc:
            self._gone = exc
            raise

    def _fenced(self, query: str, **params: Any) -> list[Row]:
        if "cursor" in params:
            params["cursor_version"] = self.job_type.version
        with self._same_connection():
            rows = self._db.query(query, run_id=self.id, slice=self.number, **params)
        if not rows:
            self._db.rollback()
            raise SliceLost
        return rows
