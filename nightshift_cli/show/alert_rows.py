"""Rendering of alerts and deliveries, as the API returns them, in tables and sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from nightshift_cli.base.text import clean
from nightshift_cli.show.times import minute

HEADERS = ("ALERT", "NAME", "EVENTS", "TO", "STATE", "LAST (UTC)")
# Columns that a narrow line may leave out, the least important first.
OPTIONAL = ("LAST (UTC)", "EVENTS")
DELIVERY_HEADERS = ("DELIVERY", "WRITTEN (UTC)", "KIND", "STATUS", "TRIES", "ANSWER", "RUN", "ERROR")


def row_of(alert: Mapping[str, Any], *, id: str) -> Sequence[object]:
    """Return the cells in the order of HEADERS."""
    last = alert.get("last")
    return (
        id,
        alert.get("name"),
        ", ".join(clean(each) for each in _list(alert.get("events"))),
        readers(alert),
        state(alert),
        minute(last.get("at")) if isinstance(last, dict) else "",
    )


def delivery_row_of(delivery: Mapping[str, Any]) -> Sequence[object]:
    """Return the cells in the order of DELIVERY_HEADERS."""
    names = ("kind", "status", "tries", "answer_status", "run_id", "error")
    return (delivery.get("id"), minute(delivery.get("created_at")), *(delivery.get(name) for name in names))


def readers(alert: Mapping[str, Any]) -> str:
    """Return where the alert sends: ``slack``, a webhook's URL, or the readers of its mails."""
    if alert.get("channel") == "webhook":
        return clean(alert.get("url"))
    if alert.get("channel") != "mail":
        return clean(alert.get("channel"))
    named = [each for each in _list(alert.get("addresses")) if isinstance(each, dict)]
    shown = [
        clean(each.get("address")) + (" (not confirmed)" if each.get("state") == "waiting" else "") for each in named
    ]
    return ", ".join([*(["all admins"] if alert.get("admins") is True else []), *shown])


def state(alert: Mapping[str, Any]) -> str:
    paused, failing = alert.get("paused"), alert.get("failing")
    if isinstance(paused, dict):
        return f"paused: {clean(paused.get('why'))}"
    if isinstance(failing, dict):
        return f"failing since {minute(failing.get('since'))}"
    return "on"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
