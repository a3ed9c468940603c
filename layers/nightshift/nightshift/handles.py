"""What a job holds in its hands: copies of the run's values, and the database of the step under way.

Nothing that a job changes here in place reaches what the engine writes.
"""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nightshift.database import Database, Row
from nightshift.errors import DatabaseBusy, DatabaseGone, JobError
from nightshift.job import Progress

if TYPE_CHECKING:
    from nightshift.slices import Slice


class RunHandle:
    """The run as its job sees it (``nightshift.job.Run``)."""

    def __init__(self, row: Row, *, is_cancelled: Callable[[], bool], remaining_s: Callable[[], float]):
        self.id = str(row["id"])
        self.project_id = row["project_id"] and str(row["project_id"])
        self.params: dict[str, Any] = copy.deepcopy(row["params"])
        self.progress: dict[str, Any] | None = copy.deepcopy(row["progress"])
        self.cursor: dict[str, Any] | None = copy.deepcopy(row["cursor"])
        self.failures = sum(row["failed_attempts"].values())
        self._is_cancelled = is_cancelled
        self._remaining_s = remaining_s

    @property
    def remaining_s(self) -> float:
        return self._remaining_s()

    def is_cancelled(self) -> bool:
        return self._is_cancelled()

    def follow(self, step: Progress, *, failures: int) -> None:
        """Show what the step has just committed."""
        self.failures = failures
        self.cursor = json.loads(step.cursor_text) if step.cursor_text else None
        self.progress = step.as_json()


class StepDatabase:
    """The database of one slice's steps (``nightshift.job.JobDatabase``), which remembers a step's first error.

    An error undoes the step's transaction, whether the job lets it pass or catches it. ``check`` raises it again before
    the step could be taken for done.
    """

    def __init__(self, db: Database, current: "Slice"):
        self._db = db
        self._slice = current
        self.error: Exception | None = None
        self._is_over = False
        self._turn = threading.RLock()

    def end(self) -> None:
        """Refuse whatever a thread that the job left behind still asks for: the connection is the next slice's."""
        self._is_over = True

    def read(self, query: str, /, **params: Any) -> list[Row]:
        with self._remembered():
            return self._db.query(query, **params)

    def write(self, query: str, /, **params: Any) -> list[Row]:
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
        """The step's first error, where it is the database's trouble and not the job's."""
        return self.error if isinstance(self.error, DatabaseBusy | DatabaseGone) else None

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        if self._is_over:
            raise JobError("This database belongs to a slice that has ended. Join the job's threads before each yield")
        # Postgres refuses whatever follows an error in a transaction, and a new connection knows nothing of its half.
        if self._db.in_transaction or isinstance(self.error, DatabaseGone):
            self.check()
        try:
            yield
        except Exception as exc:
            self.error = self.error or exc
            raise
