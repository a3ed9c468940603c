"""Operations on bulk actions: many runs that are cancelled or run again at once."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from api.operations import UUID, operation
from api.parsing import MAX_LISTED, parse_optional_uuid
from api.request import Request
from api.run_filters import parse_filters
from nightshift.base.errors import Refused
from nightshift.base.settings import settings
from nightshift.base.validation import parse_uuid, validate
from nightshift.database.queries import database
from nightshift.runs import bulk_actions
from nightshift.tenants.auth import Principal

if TYPE_CHECKING:
    from api.bodies import BulkBody

ACTIONS = "/v1/teams/{team_id}/bulk-actions"
ACTION = ACTIONS + "/{action_id}"


@operation("GET", ACTIONS, summary="The newest bulk actions of a team that were confirmed", answer="BulkActions")
def list_bulk_actions(request: Request, team_id: str) -> dict[str, Any]:
    _, team_id = _of_team(request, team_id, "jobs:read")
    return {"bulk_actions": bulk_actions.list_of_team(team_id, db=database())}


@operation(
    "POST",
    ACTIONS,
    summary="Preview a bulk action: fix the runs that it cancels or runs again; it starts nothing",
    answer="BulkPreview",
    status=201,
    body="BulkBody",
    is_limited=True,
)
def preview_bulk_action(request: Request, team_id: str) -> dict[str, Any]:
    from api.bodies import BulkBody

    who, team_id = _of_team(request, team_id, "jobs:write")
    asked = validate(BulkBody, request.body())
    match = asked.match.model_dump(exclude_none=True) if asked.match else {}
    made, searched = bulk_actions.preview(
        asked.action,
        _wanted(asked, match, who=who),
        asked=match,
        from_cursor=asked.from_ == "cursor",
        team_id=team_id,
        created_by=who.triggered_by,
        db=database(),
    )
    return {"bulk_action": made, "searched": searched and searched.as_json()}


@operation("GET", ACTION, summary="A bulk action with its figures", answer="BulkActionEnvelope")
def get_bulk_action(request: Request, team_id: str, action_id: str) -> dict[str, Any]:
    _, team_id = _of_team(request, team_id, "jobs:read")
    return {"bulk_action": bulk_actions.get(parse_uuid("action_id", action_id), team_id=team_id, db=database())}


@operation(
    "GET",
    ACTION + "/items",
    summary=f"The runs of a bulk action, and what became of each: up to {MAX_LISTED:,} in a page",
    answer="BulkItemPage",
    query=(("cursor", "The cursor that the previous page returned", UUID),),
)
def list_bulk_items(request: Request, team_id: str, action_id: str) -> dict[str, Any]:
    _, team_id = _of_team(request, team_id, "jobs:read")
    items, cursor = bulk_actions.items_of(
        parse_uuid("action_id", action_id),
        after_run_id=parse_optional_uuid("cursor", request.query("cursor")),
        limit=MAX_LISTED,
        team_id=team_id,
        db=database(),
    )
    return {"items": items, "cursor": cursor, "has_more": cursor is not None}


@operation(
    "POST",
    ACTION + "/confirm",
    summary="Start a bulk action; a repeat starts nothing",
    answer="BulkActionEnvelope",
    errors=(400, 401, 403, 404, 409),
    is_limited=True,
)
def confirm_bulk_action(request: Request, team_id: str, action_id: str) -> dict[str, Any]:
    who, team_id = _of_team(request, team_id, "jobs:write")
    confirmed = bulk_actions.confirm(
        parse_uuid("action_id", action_id),
        team_id=team_id,
        author=request.author(who),
        db=database(),
        settings=settings(),
    )
    return {"bulk_action": confirmed}


@operation(
    "POST",
    ACTION + "/stop",
    summary="Leave out what a bulk action has not done yet",
    answer="BulkActionEnvelope",
    errors=(400, 401, 403, 404, 409),
)
def stop_bulk_action(request: Request, team_id: str, action_id: str) -> dict[str, Any]:
    who, team_id = _of_team(request, team_id, "jobs:write")
    stopped = bulk_actions.stop(
        parse_uuid("action_id", action_id), team_id=team_id, author=request.author(who), db=database()
    )
    return {"bulk_action": stopped}


def _of_team(request: Request, team_id: str, permission: str) -> tuple[Principal, str]:
    who, team_id = request.caller(), parse_uuid("team_id", team_id)
    who.require(team_id, permission)
    return who, team_id


def _wanted(asked: "BulkBody", match: dict[str, str], *, who: Principal) -> Any:
    """Return the filters, or the ids of the runs."""
    if (asked.run_ids is None) == (asked.match is None):
        raise Refused("Give either run_ids or match")
    if asked.action == "cancel" and asked.from_ == "cursor":
        raise Refused('from must be start for the action cancel, got "cursor"')
    if asked.match is not None and not any(text.strip() for text in match.values()):
        raise Refused("match must have at least one filter: otherwise each run of the team matches")
    if asked.run_ids is not None:
        return [parse_uuid("run_ids", run_id) for run_id in asked.run_ids]
    return parse_filters(lambda name: match.get(name, "").strip() or None, who=who, now=datetime.now(UTC))
