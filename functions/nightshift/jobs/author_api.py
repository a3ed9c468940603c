"""The API for job authors: ``Progress``, ``Wait``, the run, and the database of a step.

A job is a generator function ``job(run, db)``. Every ``yield`` commits what the job wrote through ``db`` together with
the cursor and the progress it yields. The executor may close the generator at any yield and call the job again later
with ``run.cursor``; nothing else survives between slices. The job's return value becomes the run's result.

Within a step, call external services first, while no transaction is open; then write; then yield. A worker may die at
any line, and the step is then repeated: its database writes are rolled back, but its external calls happen twice.
docs/write-a-job.md walks through a job and its tests.
"""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol

from nightshift.base.errors import ConfigurationError, JobError
from nightshift.base.stored_json import shown, storable
from nightshift.base.wording import masked_line

Cursor = dict[str, Any] | None

# A year: a longer wait is a mistake, and timestamps would eventually overflow.
MAX_WAIT_S = 366 * 86_400
# Characters. A page of 200 runs has to fit into Lambda's response limit of six megabytes.
MAX_MESSAGE = 500
# Every yield writes the cursor again.
MAX_CURSOR_BYTES = 65_536
# The largest count that Postgres holds (bigint).
MAX_COUNT = 2**63 - 1
# The longest delay between two attempts, in seconds.
MAX_RETRY_DELAY_S = 3600


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A finished step.

    ``cursor`` says where to continue after this step: JSON of at most 64 KiB, so store ids and dates as text. It is
    written with every step, so keep it small; None is the start. The step keeps a copy: later changes to the job's dict
    belong to the next step. ``processed`` and ``total`` count the job's own units, for the progress bar; ``total`` may
    change during the run. ``message`` is the line beside the bar, cut to 500 characters.

    Raises JobError, at the line that creates it, for values that cannot be stored.
    """

    processed: int
    total: int
    message: str
    cursor: Cursor
    cursor_text: str | None = field(init=False, repr=False, compare=False)
    """The cursor as JSON text, as it is stored."""

    def __post_init__(self) -> None:
        for name in ("processed", "total"):
            value = getattr(self, name)
            if type(value) is not int or value > MAX_COUNT:
                raise JobError(f"Progress.{name} must be a whole number up to {MAX_COUNT}, got {shown(value)}")
        if not isinstance(self.message, str):
            raise JobError(f"Progress.message must be text, got {shown(self.message)}")
        _keep_own_cursor(self)

    def as_json(self) -> dict[str, Any]:
        processed = max(0, self.processed)
        message = masked_line(self.message, longest=MAX_MESSAGE)
        return {"processed": processed, "total": max(processed, self.total), "message": message}


@dataclass(frozen=True, kw_only=True)
class Wait:
    """End the invocation and continue after ``seconds``, from ``cursor``. ``why`` completes "waiting for …".

    The job's writes since its last yield are committed with it. The cursor has to differ from the one that the slice
    began with, or the next slice would yield the same Wait again: a job that polls counts its polls in the cursor.
    ``progress`` also moves the progress bar (its own cursor is ignored). A wait may not exceed what is left of the job
    type's ``max_duration_s``; a wait of more than 15 minutes may end a minute late.

    Raises JobError, at the line that creates it, for values that cannot be stored.
    """

    seconds: float
    why: str
    cursor: Cursor
    progress: Progress | None = None
    cursor_text: str | None = field(init=False, repr=False, compare=False)
    """The cursor as JSON text, as it is stored."""

    def __post_init__(self) -> None:
        if not (isinstance(self.seconds, int | float) and 0 <= self.seconds < MAX_WAIT_S):
            raise JobError(f"Wait.seconds must be a number from 0 to {MAX_WAIT_S}, got {shown(self.seconds)}")
        if not isinstance(self.why, str):
            raise JobError(f"Wait.why must be text, got {shown(self.why)}")
        object.__setattr__(self, "why", masked_line(self.why, longest=MAX_MESSAGE))
        if not isinstance(self.progress, Progress | None):
            raise JobError(f"Wait.progress must be a Progress or None, got {shown(self.progress)}")
        _keep_own_cursor(self)


@dataclass(frozen=True, kw_only=True)
class Retry:
    """The policy after an exception: ``attempts`` more slices from the last cursor, ``delay_s`` doubling each time.

    Set it as ``retry`` of a job type in the registry. At most 100 attempts; the delay never exceeds an hour.
    The count restarts whenever the cursor moves. JobError is final: the job itself says that it cannot continue.
    Two kinds of error have a policy and a count of their own: a missing module, which a deployment in progress may
    cause; and a busy database, which is temporary.

    Raises ConfigurationError for numbers out of range.
    """

    attempts: int = 0
    delay_s: float = 10

    def __post_init__(self) -> None:
        if not (type(self.attempts) is int and 0 <= self.attempts <= 100):
            raise ConfigurationError(f"Retry.attempts must be a whole number from 0 to 100, got {self.attempts!r}")
        if not (isinstance(self.delay_s, int | float) and 0 <= self.delay_s <= MAX_RETRY_DELAY_S):
            raise ConfigurationError(
                f"Retry.delay_s must be a number from 0 to {MAX_RETRY_DELAY_S}, got {self.delay_s!r}"
            )

    def delay_before(self, failure: int) -> float | None:
        """Return the seconds to wait after the ``failure``-th exception in a row (from 1), or None to give up."""
        return min(self.delay_s * 2 ** (failure - 1), MAX_RETRY_DELAY_S) if failure <= self.attempts else None


NO_RETRY = Retry()


def _keep_own_cursor(step: Progress | Wait) -> None:
    """Give the step its own copy of the cursor: the job may continue to change the dict that it passed."""
    name = f"{type(step).__name__}.cursor"
    if not isinstance(step.cursor, dict | None):
        raise JobError(f"{name} must be a dict or None, got {shown(step.cursor)}")
    text = None if step.cursor is None else storable(name, step.cursor, max_bytes=MAX_CURSOR_BYTES)
    object.__setattr__(step, "cursor_text", text)
    object.__setattr__(step, "cursor", json.loads(text) if text else None)


class JobDatabase(Protocol):
    """The database of a step. Queries are named after their files, which are beside the job or in sql/queries.

    ``params`` are the parameters of the query (``:after``); dicts are passed as JSON. Rows are dicts by column name. A
    project's job runs as the role nightshift_worker, a system job as nightshift_maintenance. ``rights`` in the
    declaration of the job names the tables that its own queries use.

    A database error rolls back the step, even if the job catches it: the next ``yield`` raises it again. The executor
    repeats the step after a temporary error (a deadlock, a lost connection).
    """

    def read(self, query: str, /, **params: Any) -> list[dict[str, Any]]:
        """Return rows, outside of any transaction unless this step has already written."""

    def write(self, query: str, /, **params: Any) -> list[dict[str, Any]]:
        """Run a statement in the step's transaction, which the next ``yield`` commits. Make no slow calls after it.

        The server ends a transaction that is idle for ten seconds, and a statement that runs for thirty.
        """

    def run_alone(self, statement: str, *, patience_ms: int) -> None:
        """Run one DDL statement in autocommit, on a separate connection that waits ``patience_ms`` for each lock.

        Sessions behind it in a lock's queue may wait as long: 50 ms is not noticeable.

        Use it for statements that cannot run in a transaction (``DETACH PARTITION … CONCURRENTLY``) or must not hold
        their locks until the next yield. The slice may die between the statement and the next yield, so the statement
        has to be idempotent. Write nothing in this step before it, or it could wait for the step's own locks. Raises
        DatabaseBusy if another session holds a lock, if the statement takes too long, or if too little of this slice
        is left: yield a Wait then.

        Only the lease holder can run it. The server checks the lease first, on the same connection, and ends both
        statement and connection before the lease expires, so that a worker that froze in between cannot interfere with
        its successor.
        """


class Run(Protocol):
    """The run, as the job sees it."""

    id: str
    project_id: str | None
    """None for a system job."""
    params: dict[str, Any]
    """The values as the job type's model of parameters validated them, with defaults for those that the run was created
    without. A project's job also finds ``project_id`` here."""
    cursor: Cursor
    """A copy of the last committed cursor. None at the start, and if the job's module had a different
    ``CURSOR_VERSION`` when it wrote the cursor."""
    failures: int
    """The number of retries in a row since the cursor last moved."""
    progress: dict[str, Any] | None
    """A copy of what the last yield reported: ``processed``, ``total``, ``message``."""

    @property
    def remaining_s(self) -> float:
        """Seconds left in this invocation. Use it as the limit of every external call."""

    @property
    def slice_left_s(self) -> float:
        """Seconds until the executor ends the slice at a yield; negative: the next yield ends it. The invocation lasts
        longer. A job that keeps calls in flight across yields lets them land before."""

    def is_cancelled(self) -> bool:
        """Ask the database whether the run was cancelled or the slice was lost. For long work between yields.

        If true, return from the job with any value: the executor rolls back the current step and ends the run as
        cancelled.
        """

    def log(self, message: object, /, *, level: str = "info", **fields: object) -> None:
        """Write a line to the run's log: on its page, in ``nightshift jobs logs``, and in CloudWatch.

        ``level`` is "debug", "info", "warning" or "error". ``fields`` are shown beside the message: numbers as they
        are, other values as text. The standard ``logging`` writes to the same log. Lines are stored by a yield, at most
        every two seconds, and by the end of the slice, also those of a step that is rolled back. A run keeps its last
        1,000 lines. Threads may call it. A value never fails the job; an unknown level raises JobError.
        """


# The return type of a job's generator function. The dict is the run's result: JSON of at most 16 KiB.
Steps = Generator[Progress | Wait, None, dict[str, Any]]

Job = Callable[[Run, JobDatabase], Steps]
