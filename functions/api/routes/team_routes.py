"""The operation that names the people and keys behind a team's runs."""

from typing import Any

from api.operations import operation, searched
from api.request import Request
from nightshift.base.validation import parse_uuid
from nightshift.database.queries import database
from nightshift.tenants import teams


@operation(
    "GET",
    "/v1/teams/{team_id}/members",
    summary="People and keys of a team",
    answer="Members",
    query=searched("members and keys with this id, or whose e-mail address or name contains this text"),
)
def list_members(request: Request, team_id: str) -> dict[str, Any]:
    who, team_id = request.caller(), parse_uuid("team_id", team_id)
    who.require(team_id, "jobs:read")
    # Pipelines and agents use API keys. They do not need people's e-mail addresses.
    return teams.members(
        team_id,
        with_emails=who.kind == "user",
        q=request.search(),
        limit=request.limit(),
        db=database(),
    )
