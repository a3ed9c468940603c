"""Mails and events on their way: rows that endings leave, and the messages that take them to the notify function."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from nightshift.database import Database, Row
from nightshift.errors import sentence
from nightshift.log import logger
from nightshift.queue import send_batches
from nightshift.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A mail to the owner of the server that is about no run: a subject and paragraphs of text."""

    subject: str
    lines: list[str]


def alert(wanted: Alert, *, db: Database) -> Row:
    """The outbox row (``id``), written in the caller's transaction. The sweep sends it within two minutes."""
    return db.query("insert_alert", content=asdict(wanted))[0]


def want_events(wanted: bool, *, db: Database) -> None:
    """Whether endings leave events from now on: the deployment says. As the owner of the tables."""
    db.query("want_events", wanted=wanted)


def dispatch(run_ids: Sequence[str], *, db: Database, settings: Settings) -> None:
    """Send the messages of what the ending of these runs left. Raises nothing: the sweep sends them, too."""
    try:
        send_messages(db.query("unsent_of_runs", run_ids=list(run_ids)), settings=settings)
    except Exception as exc:
        logger.warning(f"Left the outbox to the sweep: {sentence(exc)}", action="dispatch_failed")


def send_messages(rows: Sequence[Row], *, settings: Settings) -> int:
    """Send a message for each outbox row (``id``, ``team_id``); returns how many SQS refused.

    The queue is fair between teams, as that of runs is: many mails of one do not keep the others waiting.
    """
    entries = [
        {
            "MessageBody": json.dumps({"outbox_id": str(row["id"])}),
            "MessageGroupId": str(row.get("team_id") or "system"),
        }
        for row in rows
    ]
    return send_batches(settings.notify_queue_url, entries)
