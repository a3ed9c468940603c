"""Any run, listed and cancelled; system jobs, started."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from nightshift import runs
from nightshift.catalogue import CATALOGUE, JobType
from nightshift.database import Database, Row
from nightshift.errors import NotFound, Refused
from nightshift.pages import fitting
from nightshift.run_ids import whole_id
from nightshift.settings import Settings
from nightshift.validation import refusal, shown
from nightshift.wording import timestamp

OWNER = "system"


def list_runs(
    *,
    job_type: str | None = None,
    status: Literal["pending", "running", "completed", "failed", "cancelled"] | None = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 20,
    every_team: bool = False,
    db: Database,
    settings: Settings,
) -> dict[str, Any]:
    """``{"job_runs": [...]}``: system runs, newest first; with ``every_team`` all live ones, then the last that ended.

    A project's job type means every team's. Those runs have the names of ``team`` and ``project`` beside their ids.
    ``left_out`` counts those that one answer does not hold, where there are.
    """
    if job_type is not None and job_type not in CATALOGUE:
        raise Refused(f"job_type must be one of {', '.join(CATALOGUE)}, got {shown(job_type)}")
    is_a_projects = job_type is not None and CATALOGUE[job_type].scope == "project"
    filters = {"job_type": job_type, "status": status, "limit": limit}
    if every_team or is_a_projects:
        rows = db.query("list_all_runs", again_if_gone=True, **filters)
        listed = [runs.as_json(row) | {"team": row["team"], "project": row["project"]} for row in rows]
    else:
        listed = [runs.as_json(row) for row in db.query("list_system_runs", again_if_gone=True, **filters)]
    kept = listed[: fitting(listed)]
    return {"job_runs": kept} | ({"left_out": len(listed) - len(kept)} if len(kept) < len(listed) else {})


def trigger(*, job_type: str, params: dict[str, Any] | None = None, db: Database, settings: Settings) -> dict[str, Any]:
    """``{"job_run"}``. Raises Refused for a job that is no system job, Conflict with ``existing_run_id``."""
    wanted = _system_job_type(job_type)
    model = wanted.params_model()
    try:
        values = model.model_validate(params or {}).model_dump(mode="json")
    except ValidationError as exc:
        raise Refused(refusal(exc, prefix="params", model=model)) from None
    row = runs.create_system(wanted, params=values, triggered_by=OWNER, db=db, settings=settings)
    return {"job_run": runs.as_json(row)}


def cancel(*, run_id: str, db: Database, settings: Settings) -> dict[str, Any]:
    """``{"cancelled": true}``: ended, or asked to end at its next step."""
    runs.cancel(find_run(run_id, db=db), requested_by=OWNER, db=db, settings=settings)
    return {"cancelled": True}


def mail_as_json(row: Row) -> dict[str, Any]:
    return row | {
        "id": str(row["id"]),
        "created_at": timestamp(row["created_at"]),
        "ended_at": timestamp(row["ended_at"]),
    }


def find_run(run_id: str, *, db: Database) -> Row:
    """With the database's ``now``, by its id or a beginning of it. Raises NotFound; Refused where several begin so."""
    run = db.one("get_any_run", again_if_gone=True, run_id=whole_id("run_id", run_id, db=db))
    if run is None:
        raise NotFound(f"There is no run {run_id}")
    return run


def _system_job_type(name: str) -> JobType:
    known = [job_type.name for job_type in CATALOGUE.values() if job_type.scope == "system"]
    if name not in known:
        hint = ". Trigger a project's job with `nightshift jobs trigger`" if name in CATALOGUE else ""
        raise Refused(f"job_type must be one of {', '.join(known)}, got {shown(name)}{hint}")
    return CATALOGUE[name]
