"""The outbox: a row for each mail and event to send, and the messages that say that there is something to send."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from nightshift.aws.queue import send_batches
from nightshift.base.errors import sentence
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database

TO_ADMINS = "You get this mail because you are an admin or an owner of the team."


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A mail that is not about a run: a subject and paragraphs of text."""

    subject: str
    lines: list[str]
    reason: str = ""
    """Why its reader gets the mail; empty: as an operator."""
    page: str = ""
    """A page of the dashboard, to which the mail links."""


def alert(wanted: Alert, *, db: Database) -> dict[str, Any]:
    """Write an outbox row for the operator in the caller's transaction and return its ``id``.

    The sweep sends it within two minutes.
    """
    return db.query("insert_alert", content=asdict(wanted))[0]


def mail_team(team_id: str, wanted: Alert, *, db: Database) -> None:
    """Write an outbox row for each admin of the team in the caller's transaction. The sweep sends them."""
    of_the_team = replace(wanted, reason=TO_ADMINS)
    db.query("mail_team_admins", team_id=team_id, content=asdict(of_the_team))


def want_events(wanted: bool, *, db: Database) -> None:
    """Set whether runs that end from now on write events. The deployment calls this as the schema owner."""
    db.query("want_events", wanted=wanted)


def dispatch(run_ids: Sequence[str], *, db: Database, settings: Settings) -> None:
    """Send the messages for the outbox rows of these ended runs. Never raise, because the sweep sends them too."""
    try:
        send_messages(db.query("unsent_of_runs", run_ids=list(run_ids)), settings=settings)
    except Exception as exc:
        logger.warning(f"Sending from the outbox is left to the sweep: {sentence(exc)}", action="dispatch_failed")


def send_messages(rows: Sequence[Mapping[str, Any]], *, settings: Settings) -> int:
    """Send a message for each outbox row (``id``, ``kind``, ``team_id``). Return how many SQS refused.

    Mails and events have a queue each, so that people's mails do not wait behind events. Like the run queue, both are
    fair between teams: many mails of one team do not delay the mails of others.
    """
    queues = {"mail": settings.notify_queue_url, "event": settings.announce_queue_url}
    return sum(send_batches(url, [_entry(row) for row in rows if row["kind"] == kind]) for kind, url in queues.items())


def _entry(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "MessageBody": json.dumps({"outbox_id": str(row["id"])}),
        "MessageGroupId": str(row.get("team_id") or "system"),
    }
