"""Operations on a team's alerts: what the team is told of its runs, and where."""

from typing import Any

from api.operations import UUID, operation
from api.parsing import parse_limit, parse_optional_uuid
from api.request import Request
from nightshift.alerts import team_alerts
from nightshift.alerts.alert_choices import Wanted
from nightshift.base.errors import NotFound
from nightshift.base.settings import settings
from nightshift.base.validation import parse_uuid, validate
from nightshift.database.queries import database
from nightshift.tenants.audit import Author
from nightshift.tenants.auth import Principal

PERMISSION = "alerts:write"
ALERTS = "/v1/teams/{team_id}/alerts"
ALERT = "/v1/alerts/{alert_id}"
OF_A_LIMIT = (400, 401, 403, 404, 409)


@operation("GET", ALERTS, summary="Alerts of a team, newest first, without their secrets", answer="Alerts")
def list_alerts(request: Request, team_id: str) -> dict[str, Any]:
    team_id, _ = _of_team(request, team_id)
    return {"alerts": team_alerts.list_of_team(team_id, db=database())}


@operation(
    "POST",
    ALERTS,
    summary="Make an alert; a webhook's secret is shown this once",
    answer="StoredAlert",
    status=201,
    body="AlertBody",
    errors=OF_A_LIMIT,
)
def make_alert(request: Request, team_id: str) -> dict[str, Any]:
    from api.bodies import AlertBody

    team_id, author = _of_team(request, team_id)
    asked = validate(AlertBody, request.secret_body(), quoting=False).model_dump(exclude_none=True)
    return team_alerts.make(
        Wanted(**_chosen(asked)), team_id=team_id, author=author, db=database(), settings=settings()
    )


@operation("GET", ALERT, summary="An alert", answer="AlertEnvelope")
def get_alert(request: Request, alert_id: str) -> dict[str, Any]:
    return {"alert": _alert(request.caller(), alert_id)}


@operation(
    "PATCH",
    ALERT,
    summary="Change an alert, pause it or resume it",
    answer="StoredAlert",
    body="AlertChanges",
)
def change_alert(request: Request, alert_id: str) -> dict[str, Any]:
    from api.bodies import AlertChanges

    who = request.caller()
    alert = _alert(who, alert_id)
    # Only the fields that were given: null means all job types, all projects, or no hours.
    asked = validate(AlertChanges, request.secret_body(), quoting=False).model_dump(exclude_unset=True)
    changes = {name: value for name, value in asked.items() if value is not None or name in NULLABLE}
    return team_alerts.change(alert["id"], _chosen(changes), **_context(alert, request.author(who)))


@operation("DELETE", ALERT, summary="Delete an alert with its secrets and deliveries", answer="Deleted")
def delete_alert(request: Request, alert_id: str) -> dict[str, Any]:
    who = request.caller()
    alert = _alert(who, alert_id)
    team_alerts.delete(alert["id"], team_id=alert["team_id"], author=request.author(who), db=database())
    return {"deleted": True}


@operation("POST", ALERT + "/test", summary="Send a test", answer="DeliveryEnvelope", status=201, errors=OF_A_LIMIT)
def test_alert(request: Request, alert_id: str) -> dict[str, Any]:
    who = request.caller()
    alert = _alert(who, alert_id)
    return {"delivery": team_alerts.test(alert["id"], **_context(alert, request.author(who)))}


@operation(
    "POST",
    ALERT + "/rotate",
    summary="Give a webhook a new secret, shown this once; the old one signs as well for a day",
    answer="RotatedSecret",
)
def rotate_secret(request: Request, alert_id: str) -> dict[str, Any]:
    who = request.caller()
    alert = _alert(who, alert_id)
    return team_alerts.rotate(alert["id"], **_context(alert, request.author(who)))


@operation(
    "GET",
    ALERT + "/deliveries",
    summary="Deliveries of an alert, newest first, with the start of each answer",
    answer="DeliveryPage",
    query=(
        ("cursor", "The cursor that the previous page returned", UUID),
        ("limit", "Deliveries per page (default 50); values outside 1 to 200 are clamped", {"type": "integer"}),
    ),
)
def list_deliveries(request: Request, alert_id: str) -> dict[str, Any]:
    alert = _alert(request.caller(), alert_id)
    page, cursor = team_alerts.deliveries(
        alert["id"],
        before_id=parse_optional_uuid("cursor", request.query("cursor")),
        limit=parse_limit(request.query("limit")),
        db=database(),
    )
    return {"deliveries": page, "cursor": cursor, "has_more": cursor is not None}


@operation(
    "POST",
    "/v1/alert-deliveries/{delivery_id}/replay",
    summary="Send a delivery again, under its id",
    answer="DeliveryEnvelope",
    errors=OF_A_LIMIT,
)
def replay_delivery(request: Request, delivery_id: str) -> dict[str, Any]:
    who = request.caller()
    delivery = team_alerts.get_delivery(parse_uuid("delivery_id", delivery_id), db=database())
    alert = _alert(who, delivery["alert_id"], missing="Delivery not found")
    return {"delivery": team_alerts.replay(delivery["id"], alert["id"], **_context(alert, request.author(who)))}


@operation(
    "POST",
    "/v1/alert-addresses/confirm",
    summary="Confirm a mail address with the token of the mail that asked; needs no sign-in",
    answer="ConfirmedAddress",
    body="ConfirmBody",
    errors=(400,),
    needs_token=False,
)
def confirm_address(request: Request) -> dict[str, Any]:
    from api.bodies import ConfirmBody

    asked = validate(ConfirmBody, request.secret_body(), quoting=False)
    return team_alerts.confirm(asked.token, db=database())


NULLABLE = ("job_types", "project_ids", "overdue_hours")


def _of_team(request: Request, team_id: str) -> tuple[str, Author]:
    """Return the team and the caller as the audit names them. Raise Forbidden for other teams and without the right."""
    who, team_id = request.caller(), parse_uuid("team_id", team_id)
    who.require(team_id, PERMISSION)
    return team_id, request.author(who)


def _alert(who: Principal, alert_id: str, *, missing: str = "Alert not found") -> dict[str, Any]:
    """Return the alert. Raise NotFound for another team's, Forbidden if the caller lacks the permission."""
    alert = team_alerts.find(parse_uuid("alert_id", alert_id), db=database())
    if alert is None or alert["team_id"] not in who.teams:
        raise NotFound(missing)
    who.require(alert["team_id"], PERMISSION)
    return alert


def _context(alert: dict[str, Any], author: Author) -> dict[str, Any]:
    return {"team_id": alert["team_id"], "author": author, "db": database(), "settings": settings()}


def _chosen(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a body as those of an alert."""
    chosen = {name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()}
    if chosen.get("project_ids"):
        chosen["project_ids"] = tuple(parse_uuid("project_ids", each) for each in chosen["project_ids"])
    return chosen
