"""The requests about a team's alerts."""

from typing import Any
from urllib.parse import quote, urlencode

from nightshift_cli.base.text import clean
from nightshift_cli.remote.api import Api
from nightshift_cli.remote.ids import only_id


def alerts_of(team_id: str, *, api: Api) -> list[dict[str, Any]]:
    """Return the team's alerts, newest first."""
    found: list[dict[str, Any]] = api.call("GET", _of_team(team_id), alerts=list)["alerts"]
    return found


def make(team_id: str, request: dict[str, Any], *, api: Api) -> dict[str, Any]:
    """Return the whole answer: the alert, a webhook's secret, and notes."""
    return api.call("POST", _of_team(team_id), body=request, attempts=1, alert=dict)


def change(alert_id: str, changes: dict[str, Any], *, api: Api) -> dict[str, Any]:
    """Return the whole answer, as ``make`` does."""
    return api.call("PATCH", _path(alert_id), body=changes, attempts=1, alert=dict)


def delete(alert_id: str, *, api: Api) -> dict[str, Any]:
    return api.call("DELETE", _path(alert_id), attempts=1, deleted=bool)


def test(alert_id: str, *, api: Api) -> dict[str, Any]:
    return _delivery_in(api.call("POST", f"{_path(alert_id)}/test", attempts=1, delivery=dict))


def rotate(alert_id: str, *, api: Api) -> dict[str, Any]:
    return api.call("POST", f"{_path(alert_id)}/rotate", attempts=1, secret=str)


def deliveries_of(alert_id: str, *, limit: int, api: Api) -> list[dict[str, Any]]:
    """Return the last deliveries of the alert, newest first."""
    path = f"{_path(alert_id)}/deliveries?{urlencode({'limit': limit})}"
    found: list[dict[str, Any]] = api.call("GET", path, deliveries=list)["deliveries"]
    return found


def replay(delivery_id: str, *, api: Api) -> dict[str, Any]:
    path = f"/v1/alert-deliveries/{quote(delivery_id, safe='')}/replay"
    return _delivery_in(api.call("POST", path, attempts=1, delivery=dict))


def whole_id(wanted: str, *, team_id: str, api: Api) -> str:
    """Return the id of the team's only alert that begins with ``wanted``, or ``wanted`` if it is whole."""
    return only_id(
        wanted,
        lambda: [clean(each.get("id")) for each in alerts_of(team_id, api=api)],
        kind="alert",
        of="this team",
    )


def _of_team(team_id: str) -> str:
    return f"/v1/teams/{quote(team_id, safe='')}/alerts"


def _path(alert_id: str) -> str:
    return f"/v1/alerts/{quote(alert_id, safe='')}"


def _delivery_in(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer["delivery"]
    return found
