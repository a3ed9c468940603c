"""Mails on their way: rows that the endings of runs leave, and the messages that take them to the notify function."""

import json
from collections.abc import Sequence

from nightshift.database import Database, Row
from nightshift.errors import sentence
from nightshift.log import logger
from nightshift.queue import send_batches
from nightshift.settings import Settings


def dispatch(run_ids: Sequence[str], *, db: Database, settings: Settings) -> None:
    """Send the messages of the mails that the ending of these runs left. Raises nothing: the sweep sends them, too."""
    try:
        send_messages(db.query("unsent_of_runs", run_ids=list(run_ids)), settings=settings)
    except Exception as exc:
        logger.warning(f"Left the mails to the sweep: {sentence(exc)}", action="dispatch_failed")


def send_messages(rows: Sequence[Row], *, settings: Settings) -> int:
    """A message for each outbox row (``id``); returns how many SQS refused."""
    entries = [{"MessageBody": json.dumps({"outbox_id": str(row["id"])})} for row in rows]
    return send_batches(settings.notify_queue_url, entries)
