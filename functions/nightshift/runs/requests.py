"""Start and cancel runs at the request of a caller."""

import hashlib
import json
import uuid
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from pg8000.exceptions import DatabaseError

from nightshift.aws import queue
from nightshift.aws.queue import Message
from nightshift.base import metrics
from nightshift.base.errors import Conflict, NotFound, Refused, TooManyRuns, Unprocessable
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.database.run_row import RunRow, RunState
from nightshift.jobs.job_type import JobType
from nightshift.notify import outbox
from nightshift.runs.pauses import refuse_paused
from nightshift.tenants import audit
from nightshift.tenants.audit import Author
from nightshift.tenants.integrations import refuse_without_key

# The job type was resumed, and perhaps paused again, while the trigger looked up why it was refused.
JUST_RESUMED = "This job type was just resumed. Try again."


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A request for a run of a project's job type. ``params`` are validated and contain ``project_id``."""

    job_type: JobType
    team_id: str
    project_id: str
    triggered_by: str
    params: dict[str, Any]
    asked: dict[str, Any] | None = None
    """The part of ``params`` that the caller gave. It identifies a repeated request, because another release may add
    defaults. None: all of them."""
    notify: bool = False
    provider: str | None = None
    """The provider of which the project must have an enabled key. None: the run needs none."""
    idempotency_key: str | None = None
    rerun_of: RunState | None = None
    from_cursor: bool = False
    """Whether a rerun continues from the old run's checkpoint."""


class Inserted(NamedTuple):
    """The answer of insert_run.sql: the new run, or the run that stands in the way.

    Without a run, the team has used up its runs of this minute.
    """

    run: RunRow | None
    idempotency_key: bytes | None
    """None also for a key that is older than a day."""
    request_hash: bytes | None
    retry_after_s: int


def create(trigger: Trigger, *, db: Database, settings: Settings) -> RunRow:
    """Insert the run and send its first message. Return it, or the earlier run with the same key.

    Raises NotFound (project), Refused if the type is paused, NoKey if the provider's key is missing, Conflict with
    ``existing_run_id`` (or without it if the type was just resumed), TooManyRuns if the team has used up its runs of
    this minute, and Unprocessable if the key was used for a different request.
    A message that cannot be sent is not an error: the sweep sends it.
    """
    run_id = str(uuid.uuid4())
    key, request_hash = _idempotency(trigger)
    old = trigger.rerun_of if trigger.from_cursor else None
    values = {
        "id": run_id,
        "job_type": trigger.job_type.name,
        "team_id": trigger.team_id,
        "project_id": trigger.project_id,
        "triggered_by": trigger.triggered_by,
        "params": trigger.params,
        "notify": trigger.notify,
        "cursor": old.cursor if old else None,
        "cursor_version": old.cursor_version if old else None,
        "progress": old.run.progress if old else None,
        "total": trigger.job_type.total,
        "rerun_of": trigger.rerun_of.run.id if trigger.rerun_of else None,
        "provider": trigger.provider,
        "idempotency_key": key,
        "request_hash": request_hash,
        "resend_delay_s": settings.resend_delay_s,
        "runs_per_minute": settings.runs_per_minute,
    }
    answer = _insert(values, db=db)
    if answer is None:
        refuse_paused(trigger.job_type, project_id=trigger.project_id, db=db)
        if trigger.provider:
            refuse_without_key(trigger.provider, team_id=trigger.team_id, project_id=trigger.project_id, db=db)
        # The type was just resumed, the key was just stored, or the project does not exist.
        answer = _insert(values, db=db)
    if answer is None:
        project = db.one("get_project", project_id=trigger.project_id)
        if project and str(project["team_id"]) == str(trigger.team_id):
            raise Conflict(JUST_RESUMED)
        raise NotFound("Project not found")
    run = answer.run
    if run is None:
        raise TooManyRuns(settings.runs_per_minute, retry_after_s=answer.retry_after_s)
    if str(run.id) == run_id:
        _send_first(run)
        return run
    if key is None or answer.idempotency_key != key:
        raise Conflict(existing_run_id=str(run.id))
    if answer.request_hash != request_hash:
        raise Unprocessable(f"Idempotency-Key {trigger.idempotency_key!r} was already used for a different request")
    return run


def create_system(
    job_type: JobType,
    *,
    params: dict[str, Any],
    triggered_by: str,
    author: Author | None = None,
    db: Database,
    settings: Settings,
) -> RunRow:
    """Insert a run of a system job with validated ``params`` and send its first message. Return it.

    The audit tells of the operator, the ``author``, because the run does not.
    Raises Refused if the type is paused, and Conflict with ``existing_run_id``. A message that cannot be sent is not an
    error: the sweep sends it.
    """
    run_id = str(uuid.uuid4())
    with db.transaction() if author else nullcontext():
        run = db.one_as(
            RunRow,
            "insert_system_run",
            id=run_id,
            job_type=job_type.name,
            triggered_by=triggered_by,
            params=params,
            resend_delay_s=settings.resend_delay_s,
        )
        if author and run and str(run.id) == run_id:
            audit.record(db, author, "run.triggered", of=("run", run_id), team_id=None, job_type=job_type.name)
    if run is None:
        refuse_paused(job_type, db=db)
        raise Conflict(JUST_RESUMED)
    if str(run.id) != run_id:
        raise Conflict(existing_run_id=str(run.id))
    _send_first(run)
    return run


def cancel(run: RunRow, *, requested_by: str, author: Author | None = None, db: Database, settings: Settings) -> None:
    """End the run, or ask the worker that holds it to stop. Raises Refused if it has already ended.

    The audit tells of the operator, the ``author``, because the run does not.
    """
    with db.transaction() if author else nullcontext():
        cancelled = db.one("cancel_run", run_id=run.id, requested_by=requested_by)
        if author and cancelled:
            team_id = str(run.team_id) if run.team_id else None
            audit.record(db, author, "run.cancelled", of=("run", run.id), team_id=team_id, job_type=run.job_type)
    if cancelled is None:
        now = db.one_as(RunState, "get_any_run", run_id=run.id)
        raise Refused(f'Cannot cancel a job with status "{now.run.status if now else "deleted"}"')
    if cancelled["status"] == "cancelled":
        metrics.count_ending("cancelled", job_type=run.job_type)
        outbox.dispatch([str(run.id)], db=db, settings=settings)
    logger.info("Cancel accepted", action="cancel_accepted", run_id=str(run.id))


def _insert(values: dict[str, Any], *, db: Database) -> Inserted | None:
    """Insert the run in one statement; retry if two requests race with the same key, or if the key has expired."""
    for attempt in range(3):
        try:
            return db.one_as(Inserted, "insert_run", **values)
        except DatabaseError as exc:
            raced = exc.args[0].get("n") == "job_runs_idempotency"
            if not raced or attempt == 2:
                raise
        db.query("forget_idempotency_key", idempotency_key=values["idempotency_key"])
    raise AssertionError("unreachable")


def _send_first(run: RunRow) -> None:
    try:
        queue.send(Message.of(run.id, 0, run.team_id))
    except Exception as exc:
        logger.warning(f"Could not send the first message: {exc}", action="send_failed", run_id=str(run.id))
    logger.info("Run created", action="run_created", run_id=str(run.id), job_type=run.job_type)


def _idempotency(trigger: Trigger) -> tuple[bytes | None, bytes | None]:
    if trigger.idempotency_key is None:
        return None, None
    rerun = {"of": str(trigger.rerun_of.run.id), "from_cursor": trigger.from_cursor} if trigger.rerun_of else None
    params = trigger.params if trigger.asked is None else trigger.asked
    request = [trigger.job_type.name, trigger.project_id, params, trigger.notify, rerun]
    scope = [trigger.triggered_by, trigger.team_id, trigger.idempotency_key]
    return _digest(scope), _digest(request)


def _digest(value: object) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
