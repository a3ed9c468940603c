"""A claimed slice: the statements of docs/protocol.md that a worker may issue, each fenced by the slice's number."""

import json
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, NamedTuple
from uuid import UUID

from nightshift.aws.queue import MAX_DELAY_S, Message
from nightshift.base.errors import DatabaseBusy, JobError, NightshiftError
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.base.stored_json import shown, storable
from nightshift.database.queries import Database
from nightshift.jobs.author_api import Job, Progress, Steps, Wait
from nightshift.jobs.job_type import JobType
from nightshift.runs.handles import RunHandle, StepDatabase
from nightshift.runs.job_log import KEPT_LINES, Chunk, JobLog
from nightshift.runs.run_params import params_of_slice

# Withheld from the job's time: its last step still has to be committed.
COMMIT_RESERVE_S = 5

# The longest time that a statement of run_alone may take (the server gives up before the driver does), and the shortest
# remaining time in which it is attempted.
ALONE_TIMEOUT_S, ALONE_AT_LEAST_S = 20, 1

# DDL has no WHERE clause that could name the slice, so its session is bounded by the lease instead: the slice number is
# not raised before the lease expires. By then the server has ended the statement, or the session of a worker that froze
# before sending it. The time that such a session may be idle, and a reserve for ending it, are subtracted.
ALONE_IDLE_S, ALONE_RESERVE_S = 2, 1

# A page of 200 runs has to fit into Lambda's response limit of six megabytes.
MAX_RESULT_BYTES = 16_384


class ClaimedSlice(NamedTuple):
    """The run of a claimed slice, as claim_slice.sql returns it.

    It is not claimed if ``early_s`` is positive (it is not due yet) or if it ``needs_place`` (runs/places.py).
    """

    id: UUID
    job_type: str
    team_id: UUID | None
    project_id: UUID | None
    params: dict[str, Any]
    progress: dict[str, Any] | None
    cursor: dict[str, Any] | None
    cursor_version: int | None
    slice: int
    failed_attempts: dict[str, int]
    early_s: float
    left_s: float
    needs_place: bool
    held_s: float
    """For how long it has waited for a place."""


class SliceLost(NightshiftError):
    """Another worker holds the run now; this worker changes nothing"""


class CancelRequested(NightshiftError):
    """The run is to be cancelled"""


class Slice:
    """The executor's side of a claimed slice. The job itself only gets ``run`` and ``step``."""

    def __init__(
        self,
        claimed: ClaimedSlice,
        *,
        job_type: JobType,
        db: Database,
        settings: Settings,
        remaining_s: Callable[[], float],
        refusal: Exception | None = None,
    ):
        self.id = str(claimed.id)
        self.number = claimed.slice
        self.job_type = job_type
        self.failed_attempts = claimed.failed_attempts
        self.run = RunHandle(
            claimed,
            is_cancelled=self.is_cancelled,
            remaining_s=self._spendable_s,
            slice_left_s=lambda: self._remaining_s() - self._budget_ends_at_s,
        )
        self.step = StepDatabase(db, self)
        self.log = JobLog(lambda: -remaining_s())
        self._db = db
        self.settings = settings
        self._refusal = refusal
        self._remaining_s = remaining_s
        self._claimed_with_s = remaining_s()
        self._run_left_s = claimed.left_s
        self._budget_ends_at_s = max(self._claimed_with_s - settings.slice_budget_s, settings.slice_reserve_s)
        self._began_with: object = claimed.cursor
        self._stored_version = claimed.cursor_version
        self._version = 1

    def start(self) -> Steps:
        """Start the job.

        Raises UnknownJob, any exception from importing the job's module, JobError if the job is not a generator
        function or the run's parameters do not fit this release, and SignInRefused if its role could not sign in.
        """
        if self._refusal:
            raise self._refusal
        job: Job = self.job_type.handler()
        self.run.params = params_of_slice(self.job_type, self.run.params)
        self._version = cursor_version(job)
        if self._version != self._stored_version:
            self.run.cursor = self._began_with = None
        steps = job(self.run, self.step)
        if not isinstance(steps, Generator):
            raise JobError(f"{self.job_type.name} must be a generator function: it has to yield at least once")
        return steps

    @property
    def is_out_of_time(self) -> bool:
        return self._remaining_s() <= self._budget_ends_at_s

    def is_cancelled(self) -> bool:
        rows = self.step.read("is_cancelled", run_id=self.id, slice=self.number)
        return not rows or rows[0]["cancelled"]

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
                raise DatabaseBusy("Too little of the slice's lease is left for run_alone")
            alone.run_script(statement)

    def save(self, step: Progress) -> None:
        """Commit the step with its cursor and progress.

        Raises the step's first database error; SliceLost if another worker has taken over the run (the step is rolled
        back); CancelRequested, after the commit, if a caller asked for it; DatabaseGone if the commit may or may not
        have taken effect.
        """
        self.step.check()
        lines = self.log.due()
        row = self._fenced(
            "save_progress",
            lines,
            cursor=step.cursor_text,
            cursor_version=self._version,
            progress=step.as_json(),
        )
        self._commit_step()
        self.log.stored(lines)
        self.failed_attempts = row["failed_attempts"]
        self.run.follow(step, failures=sum(self.failed_attempts.values()))
        if row["cancel_requested"]:
            raise CancelRequested

    def refuse(self, wait: Wait) -> JobError | None:
        """Return an error if the run may not wait like this, otherwise None.

        If the cursor did not change, every following slice would only wait again, forever. If the wait outlasts the
        run's maximum duration, the run could only fail.
        """
        if _canonical(wait.cursor) == _canonical(self._began_with):
            return JobError(
                f"Wait.cursor must differ from the cursor that the slice began with, {shown(wait.cursor)}: "
                "otherwise the next slice would only wait again. If the job polls, count the polls in the cursor"
            )
        left_s = self._run_left_s - (self._claimed_with_s - self._remaining_s())
        if wait.seconds > left_s:
            return JobError(
                f"Wait.seconds is {wait.seconds:.0f}, but only {max(0, left_s):.0f} of the run's "
                f"{self.job_type.max_duration_s} seconds are left. Wait for less, or raise max_duration_s of "
                f"{self.job_type.name} in the registry"
            )
        return None

    def hand_over(
        self,
        outcome: str,
        *,
        wait: Wait | None = None,
        wait_s: float = 0,
        reason: str | None = None,
        failed_as: str | None = None,
    ) -> Message | None:
        """End the slice, so that the next one may start after a wait. Return the message to send, if any.

        ``wait`` is the Wait that the job yielded; it carries a checkpoint. Without it, cursor, version and progress
        stay as the last yield stored them, and the next slice starts in ``wait_s`` seconds. ``failed_as`` names the
        retry policy that counts this slice as one of its attempts.
        Raises CancelRequested (the step is rolled back) or SliceLost.
        """
        if wait:
            self.step.check()
            wait_s, reason = wait.seconds, wait.why
        row = self._unless_cancelled(
            "end_slice",
            has_checkpoint=wait is not None,
            cursor=wait and wait.cursor_text,
            cursor_version=self._version,
            progress=wait.progress.as_json() if wait and wait.progress else None,
            wait_s=wait_s,
            outcome=outcome,
            reason=reason,
            waiting_for=reason,
            failed_as=failed_as,
            max_delay_s=MAX_DELAY_S,
            resend_delay_s=self.settings.resend_delay_s,
        )
        return Message.of(self.id, row["slice"], row["team_id"], wait_s) if wait_s <= MAX_DELAY_S else None

    def complete(self, result: dict[str, Any] | None) -> bool:
        """End the run with the job's result. Return whether the ending may owe a mail or an event.

        Raises the step's first database error, CancelRequested (the last step is rolled back), SliceLost, or JobError
        for a result that cannot be stored.
        """
        text = storable("The result", result or {}, max_bytes=MAX_RESULT_BYTES)
        self.step.check()
        return bool(self._unless_cancelled("end_run", status="completed", result=text, error=None)["announces"])

    def fail(self, error: str) -> bool:
        """Fail the run. Return as ``complete``. Raises CancelRequested or SliceLost."""
        return bool(self._unless_cancelled("end_run", status="failed", result=None, error=error)["announces"])

    def cancel(self) -> bool:
        """End the run as cancelled. Return as ``complete``. Raises SliceLost."""
        row = self._fenced("end_run", self.log.all(), status="cancelled", result=None, error=None)
        return bool(row["announces"])

    def rollback(self) -> None:
        """Discard what the job wrote since its last yield."""
        self._db.rollback()

    def close(self) -> None:
        """Refuse the job's further queries and roll back: the next invocation must not inherit an open transaction."""
        self.step.end()
        self.rollback()

    def _spendable_s(self) -> float:
        return max(0.0, self._remaining_s() - COMMIT_RESERVE_S)

    def _unless_cancelled(self, query: str, **params: Any) -> dict[str, Any]:
        # No row means a cancel request or a lost slice. Both end here as CancelRequested; ``cancel`` is fenced too, and
        # raises SliceLost if the slice was lost.
        try:
            row = self._fenced(query, self.log.all(), **params)
        except SliceLost as exc:
            raise CancelRequested from exc
        self._commit_step()
        return row

    def _fenced(self, query: str, lines: Chunk, **params: Any) -> dict[str, Any]:
        params |= {"lines": lines.text, "logged": lines.logged, "kept_lines": KEPT_LINES}
        row = self._db.one(query, run_id=self.id, slice=self.number, **params)
        if row is None:
            self._db.rollback()
            raise SliceLost
        if row["log_trouble"]:
            logger.warning(f"Could not store {lines.logged} log lines: {row['log_trouble']}", action="lines_not_stored")
        return row

    def _commit_step(self) -> None:
        if self._db.in_transaction:
            self._db.commit()


def cursor_version(job: Job) -> int:
    """Return the ``CURSOR_VERSION`` of the job's module, or 1 if it has none.

    The constant lives beside the code that writes the cursor, so that a change of one brings the other to mind.
    """
    version: int = getattr(sys.modules[job.__module__], "CURSOR_VERSION", 1)
    return version


def _canonical(cursor: object) -> str:
    return json.dumps(cursor, sort_keys=True)
