"""The operation that says who the caller is."""

from typing import Any

from api.operations import CURSOR, SEARCHED, operation, searched
from api.request import Request
from api.responses import more
from nightshift.tenants import teams
from nightshift.tenants.auth import Membership


@operation(
    "GET",
    "/v1/auth/whoami",
    summary="The caller's identity and teams",
    answer="Identity",
    query=(
        *searched("teams whose name or slug contains this text; for users, ignored for API keys"),
        ("cursor", CURSOR, SEARCHED),
    ),
    errors=(400, 401),
)
def whoami(request: Request) -> dict[str, Any]:
    who = request.caller()
    if who.kind == "api_key":
        [team] = who.teams.values()
        return {
            "type": "api_key",
            "key_type": who.key_type,
            "team": _team(team),
            "permissions": list(who.permissions),
        }
    page, cursor = teams.find(
        who.teams.values(), q=request.search(), after=request.query("cursor"), limit=request.limit()
    )
    return {
        "type": "user",
        "email": who.email,
        "teams": [_team(team) | {"role": team.role} for team in page],
    } | more(cursor)


def _team(team: Membership) -> dict[str, Any]:
    return {"id": team.team_id, "name": team.name, "slug": team.slug}
