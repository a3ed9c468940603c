"""The executor: claims the slice that a message names, works it and ends it. Jobs see none of this."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from nightshift.aws import queue
from nightshift.aws.queue import Message
from nightshift.base import metrics
from nightshift.base.errors import DatabaseGone, SignInRefused, sentence
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.notify import outbox
from nightshift.runs import places
from nightshift.runs.job_steps import Abandoned, Ended, HandedOver, Lost, Outcome, take_steps
from nightshift.runs.slices import ClaimedSlice, Slice
from nightshift.runs.watchdog import watching

# A new connection is only attempted while enough time is left for its timeout (seconds).
NOTE_AT_LEAST_S = 6


@dataclass(frozen=True)
class Invocation:
    """One message that a worker works. ``remaining_s`` returns the seconds until Lambda ends the invocation."""

    run_id: str
    number: int
    db: Database
    settings: Settings
    remaining_s: Callable[[], float]
    request_id: str

    @property
    def lease_s(self) -> float:
        """The length of a lease that begins now."""
        return self.remaining_s() + self.settings.lease_margin_s


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

    Raises DatabaseGone only before the slice is claimed: the queue then delivers the message again. After the claim, a
    lost connection abandons the slice, and the sweep resumes the run from its last commit.
    """
    logger.append_keys(run_id=run_id, slice=number)
    call = Invocation(run_id, number, db, settings, remaining_s, request_id)
    claimed = _claim(call)
    if claimed is None:
        return
    job_type = _begin(claimed, call)
    with _connection_for(job_type, call) as (own, refusal):
        current = Slice(claimed, job_type=job_type, db=own, settings=settings, remaining_s=remaining_s, refusal=refusal)
        with closing(current), watching(lambda reason: _note(reason, call), remaining_s=remaining_s()):
            outcome = take_steps(current)
    _after(outcome, job_type=job_type, call=call)


def _claim(call: Invocation) -> ClaimedSlice | None:
    """Claim the slice. Return its run, or None for a message that came too often, too late or too early."""
    capped = list(places.caps())
    found = _claim_slice(call, capped=capped, again_if_gone=True)
    if found is not None and found.needs_place:
        waiting, job_type = found, JOB_TYPES[found.job_type]
        try:
            found = places.claim_with_place(
                waiting, job_type, lambda: _claim_slice(call, capped=[]), lease_s=call.lease_s, db=call.db
            )
        except places.NoPlace:
            if message := places.hold(waiting, job_type, db=call.db, settings=call.settings):
                _send(message)
            return None
    if found is None:
        logger.info("Ignored a message for a slice that is already claimed, finished or gone", action="message_dropped")
        if capped:
            _free_place(call, slice=None)
        return None
    if found.early_s > 0:
        _send(Message.of(found.id, found.slice, found.team_id, found.early_s))
        return None
    return found


def _claim_slice(call: Invocation, *, capped: Sequence[str], again_if_gone: bool = False) -> ClaimedSlice | None:
    return call.db.one_as(
        ClaimedSlice,
        "claim_slice",
        again_if_gone=again_if_gone,
        run_id=call.run_id,
        slice=call.number,
        capped=list(capped),
        lease_s=call.lease_s,
        max_durations=json.dumps({name: job_type.max_duration_s for name, job_type in JOB_TYPES.items()}),
        max_duration_s=JobType.max_duration_s,
        request_id=call.request_id,
    )


def _begin(claimed: ClaimedSlice, call: Invocation) -> JobType:
    """Log and count the slice that was claimed. Return the run's job type."""
    name = claimed.job_type
    logger.append_keys(job_type=name, team_id=claimed.team_id)
    logger.info("The slice begins", action="slice_begun", request_id=call.request_id)
    metrics.count("Slices", job_type=name)
    metrics.count("Lag", -claimed.early_s, job_type=name)
    if call.number == 0:
        metrics.count("RunsStarted", job_type=name)
    # After a rollback the job type may be unknown here; the error is raised later, when its code is loaded.
    return JOB_TYPES.get(name) or JobType(name=name, label=name, description="", scope="project")


@contextmanager
def _connection_for(job_type: JobType, call: Invocation) -> Iterator[tuple[Database, SignInRefused | None]]:
    """Provide the connection that the job works on, and the server's refusal of a system job's role, if any.

    The role of system jobs has rights that project jobs must never have, so its connection lasts for this slice only.
    """
    if job_type.scope == "project":
        yield call.db, None
        return
    settings = call.settings
    refusal = None
    past_the_pooler = call.db.sibling(
        user=settings.database_maintenance_user,
        host=settings.database_direct_host,
        port=settings.database_direct_port,
    )
    with closing(past_the_pooler) as own:
        try:
            own.connect()
        except SignInRefused as exc:
            refusal = exc
        except DatabaseGone:
            pass  # the job's first statement fails in the same way and abandons the slice
        # The functions' role writes the ending of a run whose own role was refused.
        yield call.db if refusal else own, refusal


def _after(outcome: Outcome, *, job_type: JobType, call: Invocation) -> None:
    """Send, count and note what follows from the outcome. Nothing of the slice is open any longer."""
    match outcome:
        case HandedOver(Message() as following):
            _send(following)
        case Ended(status, announces):
            metrics.count_ending(status, job_type=job_type.name)
            if announces:
                outbox.dispatch([call.run_id], db=call.db, settings=call.settings)
        case Lost():
            logger.warning("Lost the slice to another worker", action="slice_lost")
        case Abandoned(error):
            logger.warning(f"Abandoned the slice: {error}", action="slice_abandoned")
            _note(sentence(error), call)
    if job_type.at_once and _gives_up_its_place(outcome):
        _free_place(call, slice=call.number)


def _free_place(call: Invocation, *, slice: int | None) -> None:
    for message in places.free(run_id=call.run_id, slice=slice, db=call.db, settings=call.settings):
        _send(message)


def _gives_up_its_place(outcome: Outcome) -> bool:
    """Tell whether the run ended or waits. A slice that was lost or abandoned says nothing about the run."""
    match outcome:
        case Ended():
            return True
        case HandedOver(following):
            return following is None or following.delay_s > 0
        case _:
            return False


def _note(reason: str, call: Invocation) -> None:
    """Record in the slice why its worker gives it up, if the database is reachable. Never raises.

    Uses a separate connection: the worker's own may be lost, or in the middle of a statement.
    """
    if call.remaining_s() < NOTE_AT_LEAST_S:
        return
    try:
        with closing(call.db.sibling()) as other:
            other.query("note_slice", run_id=call.run_id, slice=call.number, reason=reason)
    except Exception as exc:
        logger.warning(f"Could not note why the slice was lost: {sentence(exc)}", action="note_failed")


def _send(message: Message) -> None:
    """Send the message, and only log a failure: the sweep sends a lost message again."""
    try:
        queue.send(message)
    except Exception as exc:
        logger.warning(f"Could not send the next slice's message: {exc}", action="send_failed")
