"""Operations on projects."""

from typing import Any

from api.operations import CURSOR, TEXT, UUID, operation, searched
from api.parsing import MAX_IDS, parse_ids, parse_optional_uuid
from api.request import Request
from api.responses import more
from nightshift.base.errors import NotFound
from nightshift.base.validation import parse_uuid
from nightshift.database.queries import database
from nightshift.tenants import projects
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
    return projects.with_apps(project_of(request.caller(), project_id, "jobs:read"), db=database())


def project_of(who: Principal, project_id: str, permission: str) -> dict[str, Any]:
    """Return the project. Raise NotFound for another team's project, Forbidden if the caller lacks the permission."""
    project = projects.get_project(parse_uuid("project_id", project_id), db=database())
    if project["team_id"] not in who.teams:
        raise NotFound("Project not found")
    who.require(project["team_id"], permission)
    return project
