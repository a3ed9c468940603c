"""Operations on the agent keys of a team."""

from typing import Any

from api.operations import USUAL, operation
from api.request import Request
from nightshift.base.errors import Refused
from nightshift.base.validation import parse_uuid, validate
from nightshift.database.queries import database
from nightshift.tenants import team_keys
from nightshift.tenants.auth import Principal
from nightshift.tenants.key_terms import DEFAULT_DAYS, PERMISSIONS
from nightshift.tenants.team_keys import PERMISSION

KEYS = "/v1/teams/{team_id}/keys"
OF_A_NEW_KEY = (*USUAL, 409)


@operation("GET", KEYS, summary="Agent keys of a team, newest first, without the keys themselves", answer="AgentKeys")
def list_keys(request: Request, team_id: str) -> dict[str, Any]:
    _, team_id = _caller(request, team_id)
    found, has_more = team_keys.list_of_team(team_id, db=database())
    return {"keys": found, "permissions": PERMISSIONS} | ({"has_more": True} if has_more else {})


@operation(
    "POST",
    KEYS,
    summary="Make an agent key, which is shown once",
    answer="NewKeyEnvelope",
    status=201,
    body="KeyBody",
    errors=OF_A_NEW_KEY,
)
def make_key(request: Request, team_id: str) -> dict[str, Any]:
    from api.bodies import KeyBody

    who, team_id = _caller(request, team_id)
    asked = validate(KeyBody, request.body())
    if asked.never_expires and asked.expires_in_days:
        raise Refused("A key either expires or not: give expires_in_days or never_expires")
    made = team_keys.make(
        team_id,
        name=asked.name,
        permissions=asked.permissions,
        days=None if asked.never_expires else asked.expires_in_days or DEFAULT_DAYS,
        is_default=not (asked.never_expires or asked.expires_in_days),
        who=who,
        author=request.author(who),
        db=database(),
    )
    return {"key": made}


@operation(
    "POST",
    KEYS + "/{key_id}/rotate",
    summary="Replace an agent key with a new one of the same name, permissions and lifetime",
    answer="NewKeyEnvelope",
    status=201,
    body="RotationBody",
    errors=OF_A_NEW_KEY,
)
def rotate_key(request: Request, team_id: str, key_id: str) -> dict[str, Any]:
    from api.bodies import RotationBody

    who, team_id = _caller(request, team_id)
    key_id = parse_uuid("key_id", key_id)
    asked = validate(RotationBody, request.body())
    made = team_keys.rotate(
        team_id, key_id, grace_days=asked.grace_days or 0, who=who, author=request.author(who), db=database()
    )
    return {"key": made}


@operation(
    "DELETE", KEYS + "/{key_id}", summary="End an agent key at once; the runs that it started go on", answer="Deleted"
)
def end_key(request: Request, team_id: str, key_id: str) -> dict[str, Any]:
    who, team_id = _caller(request, team_id)
    team_keys.end(team_id, parse_uuid("key_id", key_id), who=who, author=request.author(who), db=database())
    return {"deleted": True}


def _caller(request: Request, team_id: str) -> tuple[Principal, str]:
    who, team_id = request.caller(), parse_uuid("team_id", team_id)
    who.require(team_id, PERMISSION)
    return who, team_id
