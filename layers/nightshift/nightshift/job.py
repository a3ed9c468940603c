"""What a job's author works with: ``Progress``, ``Wait``, the run, and the database of a step.

A job is a generator function ``job(run, db)``. Every ``yield`` commits what the job wrote through ``db`` together with
the cursor and the progress it yields. The engine may close the generator at any yield and call the job again later
with ``run.cursor``; nothing else survives between slices. What the job returns becomes the run's result.

Within a step: calls to the outside first, while no transaction is open; then the writes; then the yield. A worker may
die at any line, and the step begins anew: of what it wrote nothing is left, but what it did outside is done twice.
docs/write-a-job.md leads through one, with its tests.
"""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol

from nightshift.errors import ConfigurationError, JobError
from nightshift.storable import shown, storable
from nightshift.wording import one_line

Cursor = dict[str, Any] | None

# A year: longer is a mistake, and beyond what timestamps hold lies an error.
MAX_WAIT_S = 366 * 86_400
# Characters. A page of 200 runs has to fit into the six megabytes that Lambda may answer.
MAX_MESSAGE = 500
# Every yield writes the cursor again.
MAX_CURSOR_BYTES = 65_536
# The largest count that Postgres holds (bigint).
MAX_COUNT = 2**63 - 1
# The longest time between two tries, in seconds.
MAX_RETRY_DELAY_S = 3600


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A finished step.

    ``cursor`` is where to go on after it: JSON of at most 64 KiB, so ids and dates as text. It is stored with every
    step, so keep it small; None is the start. The step keeps a copy: what the job changes in its dict afterwards
    belongs to the next step. ``processed`` of ``total`` are counts of the job's own units, for the bar; ``total`` may
    change on the way. ``message`` is the line beside the bar, of which 500 characters are kept.

    Raises JobError, at the line that makes it, for what cannot be stored.
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
        message = one_line(self.message, longest=MAX_MESSAGE)
        return {"processed": processed, "total": max(processed, self.total), "message": message}


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Leave the Lambda and go on after ``seconds``, from ``cursor``. ``why`` completes "waiting for …".

    What the job wrote since its last yield is committed with it. The cursor has to differ from the one the slice began
    with, or the next slice would meet the same Wait again: a job that polls counts its polls in the cursor.
    ``progress`` is told where the bar has moved, too (its own cursor counts for nothing). At most what is left of the
    job type's ``max_duration_s``; what is longer than 15 minutes may end a minute late.

    Raises JobError, at the line that makes it, for what cannot be stored.
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
        object.__setattr__(self, "why", one_line(self.why, longest=MAX_MESSAGE))
        if not isinstance(self.progress, Progress | None):
            raise JobError(f"Wait.progress must be a Progress or None, got {shown(self.progress)}")
        _keep_own_cursor(self)


@dataclass(frozen=True, kw_only=True)
class Retry:
    """What happens after an exception: ``attempts`` more slices from the last cursor, ``delay_s`` doubling each time.

    It is the ``retry`` of a job type in the catalogue. At most 100 attempts; the delay never exceeds an hour.
    The count starts anew whenever the cursor moves. JobError is final: the job itself says that it cannot go on.
    What is missing (a module, a name, an argument, a key) may be a deployment's doing, and a busy database passes:
    each of these has a policy and a count of its own.

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
        """Seconds to wait after the ``failure``-th exception in a row (from 1), None when it is one too many."""
        return min(self.delay_s * 2 ** (failure - 1), MAX_RETRY_DELAY_S) if failure <= self.attempts else None


NO_RETRY = Retry()


def _keep_own_cursor(step: Progress | Wait) -> None:
    """Give the step a cursor of its own: the job may go on changing the dict that it handed over."""
    name = f"{type(step).__name__}.cursor"
    if not isinstance(step.cursor, dict | None):
        raise JobError(f"{name} must be a dict or None, got {shown(step.cursor)}")
    text = None if step.cursor is None else storable(name, step.cursor, max_bytes=MAX_CURSOR_BYTES)
    object.__setattr__(step, "cursor_text", text)
    object.__setattr__(step, "cursor", json.loads(text) if text else None)


class JobDatabase(Protocol):
    """The database of a step. Queries are named after their files in sql/queries.

    ``params`` are the query's (``:after``), dicts as JSON. Rows are dicts by column. A project's job works in the role
    nightshift_app, a system job as nightshift_maintenance; the migrations in sql/jobs say what each may.

    An error of the database undoes the step, also where the job catches it: the next ``yield`` raises it again. The
    engine begins the step anew where the error passes (a deadlock, a lost connection).
    """

    def read(self, query: str, /, **params: Any) -> list[dict[str, Any]]:
        """Rows, outside of any transaction unless this step has already written."""

    def write(self, query: str, /, **params: Any) -> list[dict[str, Any]]:
        """Run a statement inside the step's transaction, which the next ``yield`` commits. No slow calls after it.

        A transaction that is idle for ten seconds is ended by the server, and a statement that runs for thirty.
        """

    def run_alone(self, statement: str, *, patience_ms: int) -> None:
        """Run one DDL statement in autocommit, on a connection of its own that waits ``patience_ms`` for each lock.

        Whoever comes after it in a lock's queue may wait as long: 50 ms go unnoticed.

        For what cannot run in a transaction (``DETACH PARTITION … CONCURRENTLY``) or must not keep its locks until the
        next yield. The slice may die after it and before the next yield, so it has to be idempotent; and nothing may be
        written in this step before it, or it could wait for this step's own locks. Raises DatabaseBusy for a lock that
        others hold, when it takes too long altogether, and when too little is left of this slice: yield a Wait then.

        Only the owner of the run gets to run it. The server checks that first, on the same connection, and ends both
        statement and connection before the slice's lease is over, so that a worker which froze in between changes
        nothing under its successor's hands.
        """


class Run(Protocol):
    """The run as its job sees it."""

    id: str
    project_id: str | None
    """None for a system job."""
    params: dict[str, Any]
    """As the job type's model in nightshift.params made them, and the default of each that the run was made without; a
    project's job finds ``project_id`` there, too."""
    cursor: Cursor
    """A copy of what the last committed yield said. None at the start, and where the job's module had another
    ``CURSOR_VERSION`` when it wrote it."""
    failures: int
    """How often in a row this run was tried again since its cursor moved last."""
    progress: dict[str, Any] | None
    """A copy of what the last yield reported: ``processed``, ``total``, ``message``."""

    @property
    def remaining_s(self) -> float:
        """Seconds left in this invocation: bound every call to the outside by it."""

    def is_cancelled(self) -> bool:
        """Ask the database whether somebody wants this run to stop, or it was lost; for long work between yields.

        Return then: whatever it is, the run ends as cancelled, and the step under way is forgotten.
        """


# What a job's generator function returns. The dict is the run's result: JSON of at most 16 KiB.
Steps = Generator[Progress | Wait, None, dict[str, Any]]

Job = Callable[[Run, JobDatabase], Steps]
