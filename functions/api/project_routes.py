"""Operations on projects."""

from typing import Any

from api.operations import CURSOR, OF_A_RUN, TEXT, UUID, operation, searched
from api.parsing import MAX_IDS, parse_ids, parse_optional_uuid
from api.request import Request
from api.responses import more
from nightshift.base.errors import NotFound
from nightshift.base.settings import settings
from nightshift.base.validation import parse_uuid
from nightshift.database.queries import database
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import requests
from nightshift.runs.run_params import check_params
from nightshift.tenants import integrations, projects
from nightshift.tenants.auth import Principal

_ID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
IDS = TEXT | {"pattern": f"^{_ID}(,{_ID}){{0,{MAX_IDS - 1}}}$"}


@operation(
    "GET",
    "/v1/projects",
    summary="Projects of the teams that the caller manages",
    answer="Projects",
    query=(
        ("team_id", "Only projects of this team", UUID),
        *searched("projects whose name or slug contains this text"),
        ("cursor", CURSOR, UUID),
        (
            "ids",
            f"Only projects with these ids, at most {MAX_IDS}, separated by commas; unknown ids are left out, and q, "
            "limit and cursor are ignored",
            IDS,
        ),
    ),
    errors=(400, 401, 403),
)
def list_projects(request: Request) -> dict[str, Any]:
    who, team_id = request.caller(), parse_optional_uuid("team_id", request.query("team_id"))
    if team_id:
        who.require(team_id, "jobs:read")
    teams = [team_id] if team_id else who.managed_teams("jobs:read")
    if ids := request.query("ids"):
        found, has_more = projects.find_projects(parse_ids("ids", ids), teams, db=database())
        return {"projects": found} | ({"has_more": True} if has_more else {})
    page, cursor = projects.list_page(
        teams,
        q=request.search(),
        after=parse_optional_uuid("cursor", request.query("cursor")),
        limit=request.limit(),
        db=database(),
    )
    return {"projects": page} | more(cursor)


@operation("GET", "/v1/projects/{project_id}", summary="A project", answer="ProjectWithApps")
def get_project(request: Request, project_id: str) -> dict[str, Any]:
    return projects.with_apps(_project(request.caller(), project_id, "jobs:read"), db=database())


@operation(
    "POST",
    "/v1/projects/{project_id}/integrations/revenuecat/sync",
    summary="Start a RevenueCat sync",
    answer="Syncing",
    errors=(*OF_A_RUN, 429),
    makes_a_run=True,
)
def sync_revenuecat(request: Request, project_id: str) -> dict[str, Any]:
    who = request.caller()
    project = _project(who, project_id, "jobs:write")
    integrations.require_revenuecat(project["id"], db=database())
    wanted = JOB_TYPES["revenuecat_sync"]
    run = requests.create(
        requests.Trigger(
            job_type=wanted,
            team_id=project["team_id"],
            project_id=project["id"],
            triggered_by=who.triggered_by,
            **check_params(wanted, {}, project_id=project["id"]),
            idempotency_key=request.idempotency_key(),
        ),
        db=database(),
        settings=settings(),
    )
    return {"syncing": True, "total": run.progress and run.progress["total"], "job_run_id": str(run.id)}


def _project(who: Principal, project_id: str, permission: str) -> dict[str, Any]:
    """Return the project. Raise NotFound for another team's project, Forbidden if the caller lacks the permission."""
    project = projects.get_project(parse_uuid("project_id", project_id), db=database())
    if project["team_id"] not in who.teams:
        raise NotFound("Project not found")
    who.require(project["team_id"], permission)
    return project
