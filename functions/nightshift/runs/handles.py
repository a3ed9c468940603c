"""The objects that a job is given: copies of the run's values, and the database of the current step.

In-place changes that a job makes to them do not affect what the executor writes.
"""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nightshift.base.errors import DatabaseBusy, DatabaseGone, JobError
from nightshift.database.queries import Database
from nightshift.jobs.author_api import Progress
from nightshift.runs import job_output

if TYPE_CHECKING:
    from nightshift.runs.slices import ClaimedSlice, Slice


class RunHandle:
    """The run as its job sees it (``nightshift.jobs.author_api.Run``)."""

    def __init__(
        self,
        claimed: "ClaimedSlice",
        *,
        is_cancelled: Callable[[], bool],
        remaining_s: Callable[[], float],
        slice_left_s: Callable[[], float],
    ):
        self.id = str(claimed.id)
        self.project_id = str(claimed.project_id) if claimed.project_id else None
        self.params: dict[str, Any] = copy.deepcopy(claimed.params)
        self.progress: dict[str, Any] | None = copy.deepcopy(claimed.progress)
        self.cursor: dict[str, Any] | None = copy.deepcopy(claimed.cursor)
        self.failures = sum(claimed.failed_attempts.values())
        self._is_cancelled = is_cancelled
        self._remaining_s = remaining_s
        self._slice_left_s = slice_left_s

    @property
    def remaining_s(self) -> float:
        return self._remaining_s()

    @property
    def slice_left_s(self) -> float:
        return self._slice_left_s()

    def is_cancelled(self) -> bool:
        return self._is_cancelled()

    def log(self, message: object, /, *, level: str = "info", **fields: object) -> None:
        job_output.log(message, level=level, fields=fields, lines_above=2)

    def follow(self, step: Progress, *, failures: int) -> None:
        """Take over the values that the step has just committed."""
        self.failures = failures
        self.cursor = json.loads(step.cursor_text) if step.cursor_text else None
        self.progress = step.as_json()


class StepDatabase:
    """The database of one slice's steps (``JobDatabase`` in the API for authors). It remembers a step's first error.

    An error rolls back the step's transaction, even if the job catches the exception. ``check`` raises it again before
    the step can count as done.
    """

    def __init__(self, db: Database, current: "Slice"):
        self._db = db
        self._slice = current
        self.error: Exception | None = None
        self._is_over = False
        self._turn = threading.RLock()

    def end(self) -> None:
        """Refuse further queries, as from a thread that the job left behind: the next slice uses the connection."""
        self._is_over = True

    def read(self, query: str, /, **params: Any) -> list[dict[str, Any]]:
        with self._remembered():
            return self._db.query(query, **params)

    def write(self, query: str, /, **params: Any) -> list[dict[str, Any]]:
        with self._turn, self._remembered():
            if not self._db.in_transaction:
                self._db.begin()
            return self._db.query(query, **params)

    def run_alone(self, statement: str, *, patience_ms: int) -> None:
        self._slice.run_alone(statement, patience_ms=patience_ms)

    def check(self) -> None:
        """Raise the step's first error, if it had one."""
        if self.error:
            raise self.error

    @property
    def passing_error(self) -> DatabaseBusy | DatabaseGone | None:
        """The step's first error, if the database and not the job is at fault."""
        return self.error if isinstance(self.error, DatabaseBusy | DatabaseGone) else None

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        if self._is_over:
            raise JobError("This database belongs to a slice that has ended. Join the job's threads before each yield")
        # After an error, Postgres refuses all further statements of the transaction, and a new connection has lost its
        # first half.
        if self._db.in_transaction or isinstance(self.error, DatabaseGone):
            self.check()
        try:
            yield
        except Exception as exc:
            self.error = self.error or exc
            raise
