"""The choices of a team for an alert: check them, and return the columns of the alert."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from nightshift.alerts.public_endpoints import SLACK_HOST, parse_endpoint
from nightshift.base.addresses import BadAddress, ascii_address
from nightshift.base.errors import Refused
from nightshift.base.settings import Settings
from nightshift.base.validation import shown
from nightshift.database.queries import Database
from nightshift.jobs.registry import JOB_TYPES

EVENTS = ("failed", "ended", "first_failure", "recovered", "overdue")
CHANNELS = ("mail", "slack", "webhook")
MAX_NAME = 100
MAX_CHOSEN = 100
MAX_ADDRESSES = 10


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The fields of an alert that a caller chooses. ``url`` is of a webhook or of Slack; None keeps the stored one."""

    channel: str
    events: tuple[str, ...]
    name: str = ""
    job_types: tuple[str, ...] | None = None
    project_ids: tuple[str, ...] | None = None
    url: str | None = None
    admins: bool = False
    addresses: tuple[str, ...] = ()
    minutes_between: int = 5
    overdue_hours: int | None = None


def columns_of(
    wanted: Wanted, *, team_id: str, config: dict[str, Any], db: Database, settings: Settings
) -> dict[str, Any]:
    """Check what the caller chose, and return the columns of the alert. Raises Refused naming a bad field.

    ``config`` is the stored one, which holds a webhook's URL.
    """
    if ("overdue" in wanted.events) != (wanted.overdue_hours is not None):
        raise Refused('overdue_hours belongs to the event "overdue": give both or neither', field="overdue_hours")
    for name in wanted.job_types or ():
        if name not in JOB_TYPES or JOB_TYPES[name].scope != "project":
            known = ", ".join(each.name for each in JOB_TYPES.values() if each.scope == "project")
            raise Refused(f"job_types must be of {known}, got {shown(name)}", field="job_types")
    if wanted.project_ids is not None:
        ours = {
            str(row["id"])
            for row in db.query("projects_by_id", project_ids=list(wanted.project_ids), team_ids=[team_id])
        }
        if unknown := [each for each in wanted.project_ids if each not in ours]:
            raise Refused(f"project_ids: {shown(unknown[0])} is not a project of this team", field="project_ids")
    return {
        "name": wanted.name.strip() or _name_of(wanted),
        "events": list(dict.fromkeys(wanted.events)),
        "job_types": wanted.job_types and list(dict.fromkeys(wanted.job_types)),
        "project_ids": wanted.project_ids and list(dict.fromkeys(wanted.project_ids)),
        "config": _config(wanted, stored=config, settings=settings),
        "minutes_between": wanted.minutes_between,
        "overdue_hours": wanted.overdue_hours,
    }


def _config(wanted: Wanted, *, stored: dict[str, Any], settings: Settings) -> dict[str, Any]:
    if wanted.channel == "mail":
        if wanted.url is not None:
            raise Refused("url belongs to slack and webhook, not to mail", field="url")
        addresses = list(dict.fromkeys(address_of(each) for each in wanted.addresses))
        if not wanted.admins and not addresses:
            raise Refused("A mail needs a reader: set admins to true, or give addresses", field="addresses")
        return {"admins": wanted.admins, "addresses": addresses}
    if wanted.admins or wanted.addresses:
        raise Refused(f"admins and addresses belong to mail, not to {wanted.channel}", field="addresses")
    is_slack = wanted.channel == "slack"
    if wanted.url is not None:
        parse_endpoint(wanted.url, sink_url=settings.alert_sink_url, only_host=SLACK_HOST if is_slack else None)
    if is_slack:
        return {}
    return stored if wanted.url is None else {"url": wanted.url}


def address_of(text: str) -> str:
    try:
        return ascii_address(text).lower()
    except BadAddress as exc:
        raise Refused(f"addresses: {exc}", field="addresses") from None


def _name_of(wanted: Wanted) -> str:
    said = {"first_failure": "first failure"}
    return (
        ", ".join(said.get(each, each) for each in dict.fromkeys(wanted.events)).capitalize() + f" by {wanted.channel}"
    )


def told_of(columns: dict[str, Any]) -> dict[str, Any]:
    """Return what the audit tells: of a URL only its host, because the rest may be a secret."""
    config = dict(columns["config"])
    url = config.pop("url", None)
    names = ("name", "events", "job_types", "project_ids", "minutes_between", "overdue_hours")
    return {name: columns[name] for name in names} | config | ({"host": urlsplit(url).hostname} if url else {})
