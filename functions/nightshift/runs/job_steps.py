"""The steps of a claimed slice: the job's generator is asked for one after the other, until the slice ends."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from nightshift.aws.queue import Message
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
from nightshift.base.stored_json import shown
from nightshift.jobs.author_api import NO_RETRY, Progress, Retry, Steps, Wait
from nightshift.jobs.job_type import JobType
from nightshift.runs.slices import CancelRequested, Slice, SliceLost


@dataclass(frozen=True)
class HandedOver:
    """The run continues in its next slice. ``following`` is that slice's message, if it is due to be sent now."""

    following: Message | None


@dataclass(frozen=True)
class Ended:
    """The run has ended with this status. ``announces``: the ending may owe a mail or an event."""

    status: str
    announces: bool


@dataclass(frozen=True)
class Lost:
    """Another worker holds the run."""


@dataclass(frozen=True)
class Abandoned:
    """The database cannot be used. The sweep resumes the run from its last commit."""

    error: Exception


Outcome = HandedOver | Ended | Lost | Abandoned


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


def take_steps(current: Slice) -> Outcome:
    """Take the job's steps until the slice ends, and return how it ended. Only faults of our own are raised."""
    try:
        return _until_cancelled(current)
    except SliceLost:
        return Lost()
    except (DatabaseGone, DatabaseBusy) as exc:
        return Abandoned(exc)


def _until_cancelled(current: Slice) -> Outcome:
    try:
        with _steps(current) as steps:
            return _take(steps, current)
    except CancelRequested:
        current.rollback()
        announces = current.cancel()
        logger.info("Run cancelled", action="run_cancelled")
        return Ended("cancelled", announces)


def _take(steps: Steps, current: Slice) -> Outcome:
    """Save one step after the other, until the job ends, waits, fails or is out of time."""
    failure: BaseException
    try:
        while True:
            match _next(steps):
                case Progress() as step:
                    current.save(step)
                    if current.is_out_of_time:
                        return HandedOver(current.hand_over("continued"))
                case Wait() as wait:
                    if refusal := current.refuse(wait):
                        _fail_at_its_line(steps, refusal)
                    return HandedOver(current.hand_over("waiting", wait=wait))
                case Returned(result=dict() | None as result):
                    announces = current.complete(result)
                    logger.info("Run completed", action="run_completed")
                    return Ended("completed", announces)
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
    with suppress(BaseException):
        steps.throw(error)
    raise error


@contextmanager
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


def _after_exception(current: Slice, exc: BaseException) -> Outcome:
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
            return HandedOver(current.hand_over("retrying", wait_s=delay_s, reason=reason, failed_as=name))
    logger.error(f"Run failed: {error}", action="run_failed", exc_info=exc)
    return Ended("failed", current.fail(error))


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
