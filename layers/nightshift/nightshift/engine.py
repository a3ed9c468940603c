"""A message comes in; one slice of a run is claimed, worked and ended. Jobs know nothing of any of this."""

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from nightshift import metrics, outbox, queue
from nightshift.catalogue import CATALOGUE, JobType
from nightshift.database import Database
from nightshift.errors import BadQuery, DatabaseBusy, DatabaseGone, JobError, UnknownJob, sentence
from nightshift.job import NO_RETRY, Progress, Retry, Wait
from nightshift.log import logger
from nightshift.queue import Message
from nightshift.settings import Settings
from nightshift.slices import CancelRequested, Slice, SliceLost

Steps = Generator[Progress | Wait, None, dict[str, Any] | None]


@dataclass(frozen=True)
class Done:
    """The job returned."""

    result: object


# What the database rolled back for a passing reason is not the job's failure: these come before its own policy.
BUSY_RETRY = Retry(attempts=5, delay_s=2)

# CloudFormation updates a function's code and its layers in two calls (https://github.com/aws/aws-cdk/issues/8446): for
# up to a minute, either may be a release ahead of the other. What a job then finds missing is not its failure; what
# really is missing fails its run 90 s later.
MISFIT_RETRY = Retry(attempts=2, delay_s=30)


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

    ``remaining_s`` tells the seconds until Lambda ends the invocation. Raises DatabaseGone only while nothing was
    claimed: then the queue delivers the message again. Afterwards a lost connection abandons the slice, and the sweep
    goes on from the last commit.
    """
    logger.append_keys(run_id=run_id, slice=number)
    row = db.one(
        "claim_slice",
        again_if_gone=True,
        run_id=run_id,
        slice=number,
        lease_s=remaining_s() + settings.lease_margin_s,
        request_id=request_id,
    )
    if row is None:
        logger.info("Dropped a message that nobody waits for", action="message_dropped")
        return
    if row["early_s"] > 0:
        _send(Message.of(row, row["early_s"]))
        return
    name = row["job_type"]
    logger.append_keys(job_type=name, team_id=row["team_id"] and str(row["team_id"]))
    metrics.count("Slices", job_type=name)
    metrics.count("Lag", -row["early_s"], job_type=name)
    if number == 0:
        metrics.count("RunsStarted", job_type=name)
    # One that this release does not know, after a rollback say, is told when its code is looked for.
    job_type = CATALOGUE.get(name) or JobType(name=name, label=name, description="", scope="project")
    # The role of the system jobs may do what no project's job ever may: a connection for this slice, and no longer.
    own = db
    if job_type.scope == "system":
        own = db.sibling(user=settings.database_maintenance_user, host=settings.database_direct_host)
    current = Slice(row, job_type=job_type, db=own, settings=settings, remaining_s=remaining_s)
    try:
        following = _work_claimed(current)
    except SliceLost:
        logger.warning("Lost the slice to another owner", action="slice_lost")
        return
    except (DatabaseGone, DatabaseBusy) as exc:
        own.close()
        logger.warning(f"Abandoned the slice: {exc}", action="slice_abandoned")
        return
    finally:
        current.rollback()  # nothing of a slice that is over may linger in the next invocation's transaction
        if own is not db:
            own.close()
    if following:
        _send(following)
    if current.ended_as:
        metrics.count_ending(current.ended_as, job_type=name)
        outbox.dispatch([run_id], db=db, settings=settings)


def _work_claimed(current: Slice) -> Message | None:
    """Work the slice and end it; returns the message for the next one, if it is to be sent now."""
    try:
        with _steps(current) as steps:
            return _take(steps, current)
    except CancelRequested:
        current.rollback()
        current.cancel()
        logger.info("Run cancelled", action="run_cancelled")
        return None


def _take(steps: Steps, current: Slice) -> Message | None:
    try:
        while True:
            match _next(steps):
                case Progress() as step:
                    current.save(step)
                    if current.is_out_of_time:
                        return current.hand_over("continued", cursor=current.cursor)
                case Wait() as wait:
                    return current.hand_over(
                        "waiting", cursor=wait.cursor, progress=wait.progress, wait_s=wait.seconds, reason=wait.why
                    )
                case Done(result=dict() | None as result):
                    current.complete(result)
                    logger.info("Run completed", action="run_completed")
                    return None
                case other:
                    raise JobError(f"A job yields Progress or Wait and returns a dict, got {other!r}")
    except (SliceLost, CancelRequested, DatabaseGone):
        raise
    except Exception as exc:
        return _after_exception(current, exc)


def _next(steps: Steps) -> object:
    try:
        return next(steps)
    except StopIteration as done:
        return Done(done.value)


@contextlib.contextmanager
def _steps(current: Slice) -> Iterator[Steps]:
    """The job's generator; closed afterwards, so that its ``finally`` blocks run."""

    def start() -> Steps:
        # Inside the generator, so that code which is missing is like any other exception of the job's.
        return (yield from current.job_type.handler()(current, current))

    steps = start()
    try:
        yield steps
    finally:
        try:
            steps.close()
        except Exception as exc:
            # What the slice came to is decided; a job's last words do not change it.
            logger.warning(f"The job did not close cleanly: {sentence(exc)}", action="close_failed")


def _after_exception(current: Slice, exc: Exception) -> Message | None:
    """Roll the step back; go on after a while if a policy says so, else the run has failed."""
    current.rollback()
    failure, error = current.failures + 1, sentence(exc)
    match exc:
        case UnknownJob() | BadQuery() | ImportError() | AttributeError() | TypeError() | KeyError():
            retry = MISFIT_RETRY
        case JobError():
            retry = NO_RETRY
        case DatabaseBusy():
            retry = BUSY_RETRY
        case _:
            retry = current.job_type.retry
    delay_s = retry.delay_before(failure)
    if delay_s is None:
        logger.error(f"Run failed: {error}", action="run_failed", exc_info=exc)
        current.fail(error)
        return None
    logger.warning(f"Retry {failure} of {retry.attempts} in {delay_s:.0f} s: {error}", action="slice_retried")
    reason = f"retry {failure} of {retry.attempts} after: {error}"
    return current.hand_over("retrying", cursor=current.cursor, wait_s=delay_s, reason=reason, failed=True)


def _send(message: Message) -> None:
    """Losing this message costs time, not the run: the sweep sends it again."""
    try:
        queue.send(message)
    except Exception as exc:
        logger.warning(f"Could not send the next slice's message: {exc}", action="send_failed")
