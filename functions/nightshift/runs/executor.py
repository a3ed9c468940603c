"""The executor: claims the slice that a message names, works it and ends it. Jobs see none of this."""

import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from nightshift.aws import queue
from nightshift.aws.queue import Message
from nightshift.base import metrics
from nightshift.base.errors import (
    DatabaseBusy,
    DatabaseExhausted,
    DatabaseGone,
    JobError,
    SignInRefused,
    UnknownJob,
    sentence,
)
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.base.stored_json import shown
from nightshift.database.queries import Database
from nightshift.jobs.author_api import NO_RETRY, Progress, Retry, Steps, Wait
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.notify import outbox
from nightshift.runs.slices import CancelRequested, Slice, SliceLost
from nightshift.runs.watchdog import watching


@dataclass(frozen=True)
class Returned:
    """The job returned."""

    result: object


@dataclass(frozen=True)
class Raised:
    """The job raised an exception of any class: SystemExit is a failure just as ValueError is."""

    error: BaseException


# A statement that the database rolled back for a temporary reason is not the job's failure, so these policies come
# before the job's own. A full disk takes longer to fix than a deadlock: the retries span two hours.
BUSY_RETRY = Retry(attempts=5, delay_s=2)
EXHAUSTED_RETRY = Retry(attempts=8, delay_s=30)

# CloudFormation updates one function after the other, and a function's code and its layer in two calls
# (https://github.com/aws/aws-cdk/issues/8446). For up to a minute a worker may lack a job type that the API knows
# already, or a job may lack a package. That is not the job's failure. If a module is really missing, the run fails 90 s
# later, unless the job's own policy retries further.
MISFIT_RETRY = Retry(attempts=2, delay_s=30)

# A new connection is only attempted while enough time is left for its timeout (seconds).
NOTE_AT_LEAST_S = 6


def work(
    run_id: str,
    number: int,
    *,
    db: Database,
    settings: Settings,
    remaining_s: Callable[[], float],
    request_id: str,
) -> None:
    """Claim slice ``number`` of the run and work it as far as time allows.

    ``remaining_s`` returns the seconds until Lambda ends the invocation. Raises DatabaseGone only before the slice is
    claimed: the queue then delivers the message again. After the claim, a lost connection abandons the slice, and the
    sweep resumes the run from its last commit.
    """
    logger.append_keys(run_id=run_id, slice=number)
    row = db.one(
        "claim_slice",
        again_if_gone=True,
        run_id=run_id,
        slice=number,
        lease_s=remaining_s() + settings.lease_margin_s,
        max_durations=json.dumps({name: job_type.max_duration_s for name, job_type in JOB_TYPES.items()}),
        max_duration_s=JobType.max_duration_s,
        request_id=request_id,
    )
    if row is None:
        logger.info("Ignored a message for a slice that is already claimed, finished or gone", action="message_dropped")
        return
    if row["early_s"] > 0:
        _send(Message.of(row, row["early_s"]))
        return
    name = row["job_type"]
    logger.append_keys(job_type=name, team_id=row["team_id"])
    logger.info("The slice begins", action="slice_begun", request_id=request_id)
    metrics.count("Slices", job_type=name)
    metrics.count("Lag", -row["early_s"], job_type=name)
    if number == 0:
        metrics.count("RunsStarted", job_type=name)
    # After a rollback the job type may be unknown here; the error is raised later, when its code is loaded.
    job_type = JOB_TYPES.get(name) or JobType(name=name, label=name, description="", scope="project")
    # The role of system jobs has rights that project jobs must never have, so its connection lasts for this slice only.
    own, refusal = db, None
    if job_type.scope == "system":
        own = db.sibling(user=settings.database_maintenance_user, host=settings.database_direct_host)
        try:
            own.connect()
        except SignInRefused as exc:
            own, refusal = db, exc  # the functions' role writes the ending
        except DatabaseGone:
            pass  # the job's first statement fails in the same way and abandons the slice

    def note(reason: str) -> None:
        _note(reason, run_id=run_id, number=number, db=db, remaining_s=remaining_s)

    current = Slice(row, job_type=job_type, db=own, settings=settings, remaining_s=remaining_s, refusal=refusal)
    try:
        with watching(note, remaining_s=remaining_s()):
            following = _work_claimed(current)
    except SliceLost:
        logger.warning("Lost the slice to another worker", action="slice_lost")
        return
    except (DatabaseGone, DatabaseBusy) as exc:
        logger.warning(f"Abandoned the slice: {exc}", action="slice_abandoned")
        note(sentence(exc))
        return
    finally:
        current.step.end()
        current.rollback()  # the next invocation must not inherit this slice's open transaction
        if own is not db:
            own.close()
    if following:
        _send(following)
    if current.ended_as:
        metrics.count_ending(current.ended_as, job_type=name)
        outbox.dispatch([run_id], db=db, settings=settings)


def _work_claimed(current: Slice) -> Message | None:
    """Work the slice and end it. Return the message for the next slice, if it is due to be sent now."""
    try:
        with _steps(current) as steps:
            return _take(steps, current)
    except CancelRequested:
        current.rollback()
        current.cancel()
        logger.info("Run cancelled", action="run_cancelled")
        return None


def _take(steps: Steps, current: Slice) -> Message | None:
    failure: BaseException
    try:
        while True:
            match _next(steps):
                case Progress() as step:
                    current.save(step)
                    if current.is_out_of_time:
                        return current.hand_over("continued")
                case Wait() as wait:
                    if refusal := current.refuse(wait):
                        _fail_at_its_line(steps, refusal)
                    return current.hand_over("waiting", wait=wait)
                case Returned(result=dict() | None as result):
                    current.complete(result)
                    logger.info("Run completed", action="run_completed")
                    return None
                case Returned(result=other):
                    raise JobError(f"A job returns a dict or None, got {shown(other)}")
                case Raised(error):
                    failure = error
                    break
                case other:
                    _fail_at_its_line(steps, JobError(f"A job yields Progress or Wait, got {shown(other)}"))
    except (SliceLost, CancelRequested, DatabaseGone):
        raise
    except Exception as exc:
        failure = exc
    return _after_exception(current, failure)


def _next(steps: Steps) -> object:
    try:
        return next(steps)
    except StopIteration as done:
        return Returned(done.value)
    except (SliceLost, CancelRequested):
        raise  # from run_alone, through the job
    except BaseException as exc:
        return Raised(exc)


def _fail_at_its_line(steps: Steps, error: JobError) -> None:
    """Raise the error with the line of the job's ``yield`` in its traceback, even if the job catches it."""
    with contextlib.suppress(BaseException):
        steps.throw(error)
    raise error


@contextlib.contextmanager
def _steps(current: Slice) -> Iterator[Steps]:
    """Provide the job's generator, and close it afterwards so that its ``finally`` blocks run."""

    def start() -> Generator[Progress | Wait, None, dict[str, Any]]:
        # Called inside the generator, so that missing code is handled like any other exception of the job.
        return (yield from current.start())

    steps = start()
    try:
        yield steps
    finally:
        try:
            steps.close()
        except BaseException as exc:
            # The slice's outcome is already decided; an error while closing does not change it.
            logger.warning(f"The job did not close cleanly: {sentence(exc)}", action="close_failed")


def _after_exception(current: Slice, exc: BaseException) -> Message | None:
    """Roll the step back. Schedule another slice if a retry policy allows one, otherwise fail the run."""
    # The job may have wrapped a deadlock in an exception of its own. The database failed then, not the job.
    exc = current.step.passing_error or exc
    current.rollback()
    if isinstance(exc, DatabaseGone):
        raise exc
    error = sentence(exc)
    for name, retry in _policies(exc, current.job_type):
        if name == "misfit" and not current.settings.awaits_updates:
            continue
        failure = current.failed_attempts.get(name, 0) + 1
        delay_s = retry.delay_before(failure)
        if delay_s is not None:
            logger.warning(f"Retry {failure} of {retry.attempts} in {delay_s:.0f} s: {error}", action="slice_retried")
            reason = f"retry {failure} of {retry.attempts} after: {error}"
            return current.hand_over("retrying", wait_s=delay_s, reason=reason, failed_as=name)
    logger.error(f"Run failed: {error}", action="run_failed", exc_info=exc)
    current.fail(error)
    return None


def _policies(exc: BaseException, job_type: JobType) -> list[tuple[str, Retry]]:
    """Return the retry policies for the exception, in order. Each counts its own attempts, under its name."""
    match exc:
        case UnknownJob():
            return [("misfit", MISFIT_RETRY)]
        case JobError() | SignInRefused():
            return [("job", NO_RETRY)]
        case DatabaseExhausted():
            return [("exhausted", EXHAUSTED_RETRY)]
        case DatabaseBusy():
            return [("busy", BUSY_RETRY)]
        case ImportError():
            return [("misfit", MISFIT_RETRY), ("job", job_type.retry)]
        case _:
            return [("job", job_type.retry)]


def _note(reason: str, *, run_id: str, number: int, db: Database, remaining_s: Callable[[], float]) -> None:
    """Record in the slice why its worker gives it up, if the database is reachable. Never raises.

    Uses a separate connection: the worker's own may be lost, or in the middle of a statement.
    """
    if remaining_s() < NOTE_AT_LEAST_S:
        return
    try:
        with contextlib.closing(db.sibling()) as other:
            other.query("note_slice", run_id=run_id, slice=number, reason=reason)
    except Exception as exc:
        logger.warning(f"Could not note why the slice was lost: {sentence(exc)}", action="note_failed")


def _send(message: Message) -> None:
    """Send the message, and only log a failure: the sweep sends a lost message again."""
    try:
        queue.send(message)
    except Exception as exc:
        logger.warning(f"Could not send the next slice's message: {exc}", action="send_failed")
