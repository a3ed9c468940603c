"""Operations on the pauses of a project's jobs."""

from datetime import UTC, datetime
from typing import Any

from api.operations import operation
from api.parsing import parse_moment
from api.request import Request
from api.routes.project_routes import project_of
from nightshift.base.errors import NotFound
from nightshift.base.validation import validate
from nightshift.database.queries import database
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import project_pauses

PAUSES = "/v1/projects/{project_id}/pauses"
PAUSE = PAUSES + "/{job_type}"


@operation(
    "GET", PAUSES, summary="Pauses that stop jobs of a project: by its team, and by the operator", answer="Pauses"
)
def list_project_pauses(request: Request, project_id: str) -> dict[str, Any]:
    project = project_of(request.caller(), project_id, "jobs:read")
    types = [known.name for known in JOB_TYPES.values() if known.scope == "project"]
    found = project_pauses.pauses_of(project["id"], types, db=database())
    return {"pauses": [pause.as_json() for pause in found]}


@operation(
    "PUT",
    PAUSE,
    summary="Pause a job type for a project, or change its pause; live runs go on",
    answer="PauseEnvelope",
    body="TeamPauseBody",
)
def pause_job(request: Request, project_id: str, job_type: str) -> dict[str, Any]:
    from api.bodies import TeamPauseBody

    who, now = request.caller(), datetime.now(UTC)
    project = project_of(who, project_id, "jobs:write")
    wanted = _known(job_type)
    asked = validate(TeamPauseBody, request.body())
    made = project_pauses.pause(
        wanted,
        project_id=project["id"],
        team_id=project["team_id"],
        why=asked.why,
        until=parse_moment("until", asked.until, now=now),
        now=now,
        author=request.author(who),
        db=database(),
    )
    return {"pause": made.as_json()}


@operation("DELETE", PAUSE, summary="End the team's pause of a job type for a project", answer="Deleted")
def resume_job(request: Request, project_id: str, job_type: str) -> dict[str, Any]:
    who = request.caller()
    project = project_of(who, project_id, "jobs:write")
    project_pauses.resume(
        _known(job_type),
        project_id=project["id"],
        team_id=project["team_id"],
        author=request.author(who),
        db=database(),
    )
    return {"deleted": True}


def _known(job_type: str) -> JobType:
    if job_type not in JOB_TYPES or JOB_TYPES[job_type].scope != "project":
        raise NotFound("Job type not found")
    return JOB_TYPES[job_type]
