"""What a job's author works with: ``Progress``, ``Wait``, the run, and the database of a step.

A job is a generator function ``job(run, db)``. Every ``yield`` commits what the job wrote through ``db`` together with
the cursor and the progress it yields. The engine may close the generator at any yield and call the job again later
with ``run.cursor``; nothing else survives between slices. What the job returns becomes the run's result.

Within a step: calls to the outside first, while no transaction is open; then the writes; then the yield. A worker may
die at any line, and the step begins anew: of what it wrote nothing is left, but what it did outside is done twice.
docs/write-a-job.md leads through one, with its tests.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from nightshift.errors import JobError
from nightshift.wording import one_line

Cursor = dict[str, Any] | None

# A year: longer is a mistake, and beyond what timestamps hold lies an error.
MAX_WAIT_S = 366 * 86_400
# Characters. A page of 200 runs has to fit into the six megabytes that Lambda may answer.
MAX_MESSAGE = 500


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A finished step.

    ``cursor`` is where to go on after it: JSON, so ids and dates as text. It is stored with every step, so keep it
    small; None is the start. ``processed`` of ``total`` are counts of the job's own units, for the bar; ``total`` may
    change on the way. ``message`` is the line beside the bar, of which 500 characters are kept.
    """

    processed: int
    total: int
    message: str
    cursor: Cursor

    def __post_init__(self) -> None:
        for name in ("processed", "total"):
            if type(value := getattr(self, name)) is not int:
                raise JobError(f"Progress.{name} must be a whole number, got {value!r}")
        if not isinstance(self.message, str):
            raise JobError(f"Progress.message must be text, got {self.message!r}")
        _check_cursor("Progress", self.cursor)

    def as_json(self) -> dict[str, Any]:
        processed = max(0, self.processed)
        message = one_line(self.message, longest=MAX_MESSAGE)
        return {"processed": processed, "total": max(processed, self.total), "message": message}


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Leave the Lambda and go on after ``seconds``, from ``cursor``. ``why`` completes "waiting for …".

    What the job wrote since its last yield is committed with it. The cursor has to differ from the one the job came
    with, or the job meets the same Wait again. ``progress`` is told where the bar has moved, too (its own cursor counts
    for nothing). At most a year; what is longer than 15 minutes may end a minute late.
    """

    seconds: float
    why: str
    cursor: Cursor
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.seconds, int | float) and 0 <= self.seconds < MAX_WAIT_S):
            raise JobError(f"Wait.seconds must be from 0 to {MAX_WAIT_S}, got {self.seconds!r}")
        _check_cursor("Wait", self.cursor)


@dataclass(frozen=True, kw_only=True)
class Retry:
    """What happens after an exception: ``attempts`` more slices from the last cursor, ``delay_s`` doubling each time.

    It is the ``retry`` of a job type in the catalogue.
    The count starts anew whenever the cursor moves. JobError is final: the job itself says that it cannot go on.
    What is missing (a module, a name, an argument, a key) may be a deployment's doing, and has a policy of its own.
    """

    attempts: int = 0
    delay_s: float = 10

    def delay_before(self, failure: int) -> float | None:
        """Seconds to wait after the ``failure``-th exception in a row (from 1), None when it is one too many."""
        return self.delay_s * 2 ** (failure - 1) if failure <= self.attempts else None


NO_RETRY = Retry()


def _check_cursor(what: str, cursor: object) -> None:
    if not (cursor is None or isinstance(cursor, dict)):
        raise JobError(f"{what}.cursor must be a dict or None, got {cursor!r}")


class JobDatabase(Protocol):
    """The database of a step. Queries are named after their files in sql/queries.

    ``params`` are the query's (``:after``), dicts as JSON. Rows are dicts by column. A project's job works in the role
    nightshift_app, a system job as nightshift_maintenance; the migrations in sql/jobs say what each may.

    Let DatabaseBusy and DatabaseGone pass: the engine has policies of its own for them, and begins the step anew.
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
    """As the job type's model in nightshift.params made them; a project's job finds ``project_id`` there, too."""
    cursor: Cursor
    """What the last committed yield said. None at the start, and where another ``version`` of the job wrote it."""
    failures: int
    """How often in a row the job has failed since its cursor moved last."""
    progress: dict[str, Any] | None
    """What the last yield reported: ``processed``, ``total``, ``message``."""

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
