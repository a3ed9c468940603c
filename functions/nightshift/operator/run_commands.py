"""The commands that list and cancel any run, and that start system jobs."""

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from pydantic import Field

from nightshift.base.errors import NotFound, Refused
from nightshift.base.paging import fitting
from nightshift.base.settings import Settings
from nightshift.base.validation import shown
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.database.run_row import RunRow, RunState
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import requests
from nightshift.runs.run_ids import whole_id
from nightshift.runs.run_params import check_params
from nightshift.tenants.audit import Author

OWNER = "system"
# The list of all teams' runs applies its filters to this many live runs and to as many that ended last.
LOOK_THROUGH = 10_000


class NamedRun(NamedTuple):
    """A run with the names of its team and its project."""

    run: RunRow
    team: str | None
    project: str | None

    def as_json(self) -> dict[str, object]:
        return self.run.as_json() | {"team": self.team, "project": self.project}


class MailRow(NamedTuple):
    """A mail as list_mails.sql and get_mail.sql return it."""

    id: UUID
    recipient: str | None
    status: str
    attempts: int
    error: str | None
    created_at: datetime
    ended_at: datetime | None

    def as_json(self) -> dict[str, object]:
        times = {"created_at": timestamp(self.created_at), "ended_at": timestamp(self.ended_at)}
        return self._asdict() | {"id": str(self.id)} | times


def list_runs(
    *,
    job_type: str | None = None,
    status: Literal["pending", "running", "completed", "failed", "cancelled"] | None = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 20,
    every_team: bool = False,
    db: Database,
) -> dict[str, Any]:
    """Return ``{"job_runs": [...]}``: system runs, newest first. Return the runs of all teams, live runs first, with
    ``every_team`` or for the type of a project job.

    Runs of teams have the names of ``team`` and ``project`` in addition to the ids. ``left_out`` counts the runs that
    do not fit into one answer, if any. ``looked_through`` is the number of runs that were searched, if more exist and
    one of those could belong into the list.
    """
    if job_type is not None and job_type not in JOB_TYPES:
        raise Refused(f"job_type must be one of {', '.join(JOB_TYPES)}, got {shown(job_type)}")
    more: dict[str, int] = {}
    # Each page of system runs comes from an index, and no team has runs of their types.
    if JOB_TYPES[job_type].scope == "project" if job_type else every_team:
        is_indexed = job_type is None and status in (None, "failed")
        search: dict[str, Any] = {"status": status, "look_through": LOOK_THROUGH}
        named = db.query_as(
            NamedRun,
            "list_all_runs",
            again_if_gone=True,
            limit=limit,
            job_type=job_type,
            ended_through=limit if is_indexed else LOOK_THROUGH,
            **search,
        )
        listed = [run.as_json() for run in named]
        [beyond] = db.query("runs_beyond", **search)
        # The live runs have no order of their own, so the newest one may be among those beyond.
        if beyond["live"] or (beyond["ended"] and len(listed) < limit and not is_indexed):
            more["looked_through"] = LOOK_THROUGH
    else:
        runs = db.query_as(
            RunRow, "list_system_runs", again_if_gone=True, limit=limit, job_type=job_type, status=status
        )
        listed = [run.as_json() for run in runs]
    kept = listed[: fitting(listed)]
    if len(kept) < len(listed):
        more["left_out"] = len(listed) - len(kept)
    return {"job_runs": kept} | more


def trigger(
    *, job_type: str, params: dict[str, Any] | None = None, db: Database, settings: Settings, author: Author
) -> dict[str, Any]:
    """Start a system job and return ``{"job_run"}``.

    Raise Refused for other jobs, and Conflict, with ``existing_run_id``, if a run is live.
    """
    wanted = _system_job_type(job_type)
    values = check_params(wanted, params or {})["params"]
    db.query("ping", again_if_gone=True)
    run = requests.create_system(wanted, params=values, triggered_by=OWNER, author=author, db=db, settings=settings)
    return {"job_run": run.as_json()}


def cancel(*, run_id: str, db: Database, settings: Settings, author: Author) -> dict[str, Any]:
    """Cancel the run, or ask it to stop after its current step. Return ``{"cancelled": true}``."""
    run = find_run(run_id, db=db).run
    requests.cancel(run, requested_by=OWNER, author=author, db=db, settings=settings)
    return {"cancelled": True}


def find_run(run_id: str, *, db: Database) -> RunState:
    """Return the run with this id or beginning of an id.

    Raise NotFound if there is none, Refused if several ids begin so.
    """
    state = db.one_as(RunState, "get_any_run", again_if_gone=True, run_id=whole_id("run_id", run_id, db=db))
    if state is None:
        raise NotFound(f"Unknown run {run_id}")
    return state


def _system_job_type(name: str) -> JobType:
    known = [job_type.name for job_type in JOB_TYPES.values() if job_type.scope == "system"]
    if name not in known:
        hint = ". Trigger a project job with `nightshift jobs trigger`" if name in JOB_TYPES else ""
        raise Refused(f"job_type must be one of {', '.join(known)}, got {shown(name)}{hint}")
    return JOB_TYPES[name]
