"""The requests about bulk actions: many runs that are cancelled or run again at once."""

from typing import Any
from urllib.parse import quote, urlencode

from nightshift_cli.base.text import clean
from nightshift_cli.remote.api import Api
from nightshift_cli.remote.ids import only_id


def preview(team_id: str, request: dict[str, Any], *, api: Api) -> dict[str, Any]:
    """Return ``bulk_action`` and ``searched``. The request may be repeated: a preview starts nothing."""
    return api.call("POST", _path(team_id), body=request, bulk_action=dict)


def confirm(team_id: str, action_id: str, *, api: Api) -> dict[str, Any]:
    """Start the action and return it. The request may be repeated: a confirmed action is not started again."""
    return _action_in(api.call("POST", f"{_path(team_id, action_id)}/confirm", bulk_action=dict))


def stop(team_id: str, action_id: str, *, api: Api) -> dict[str, Any]:
    return _action_in(api.call("POST", f"{_path(team_id, action_id)}/stop", bulk_action=dict))


def action(team_id: str, action_id: str, *, api: Api) -> dict[str, Any]:
    return _action_in(api.call("GET", _path(team_id, action_id), bulk_action=dict))


def actions_of(team_id: str, *, api: Api) -> list[dict[str, Any]]:
    """Return the newest actions that were confirmed."""
    found: list[dict[str, Any]] = api.call("GET", _path(team_id), bulk_actions=list)["bulk_actions"]
    return found


def items_of(team_id: str, action_id: str, *, api: Api) -> list[dict[str, Any]]:
    """Return the runs of the action, and what became of each."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.call("GET", f"{_path(team_id, action_id)}/items?{urlencode(cursor)}", items=list, has_more=bool)
        items += page["items"]
        # A cursor that does not change would loop forever.
        if not page["has_more"] or not page.get("cursor") or {"cursor": page["cursor"]} == cursor:
            return items
        cursor = {"cursor": page["cursor"]}


def whole_id(wanted: str, *, team_id: str, api: Api) -> str:
    """Return the id of the team's only action that begins with ``wanted``, or ``wanted`` if it is whole."""
    return only_id(
        wanted,
        lambda: [clean(each.get("id")) for each in actions_of(team_id, api=api)],
        kind="bulk action",
        of="this team",
    )


def _path(team_id: str, *action_id: str) -> str:
    return "/".join(
        ["/v1/teams", quote(team_id, safe=""), "bulk-actions", *(quote(each, safe="") for each in action_id)]
    )


def _action_in(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer["bulk_action"]
    return found
