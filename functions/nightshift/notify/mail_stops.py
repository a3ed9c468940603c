"""Stop mails to addresses of which SES has told that a mail bounced for good, or that its reader called it spam."""

import json
from collections.abc import Sequence
from email.utils import parseaddr
from typing import Any, NamedTuple

from nightshift.base.logger import logger
from nightshift.base.wording import one_line, visible
from nightshift.database.queries import Database
from nightshift.notify.attempts import Outcome
from nightshift.notify.stopped import WORDS, stopped

MAX_DETAIL = 500


class Told(NamedTuple):
    """A bounce or a complaint that SES reports. ``recipients``: each address, with the sentence of its mail server."""

    reason: str
    recipients: Sequence[tuple[str, str | None]]


def told_by(body: str) -> Told | None:
    """Return what a message's body tells, if it is an event of SES, else None. A passing bounce names no addresses.

    https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
    """
    try:
        match json.loads(body):
            case {"eventType": "Bounce", "bounce": {"bounceType": str(kind), "bouncedRecipients": list(recipients)}}:
                return Told("bounce", _addresses(recipients) if kind == "Permanent" else [])
            case {"eventType": "Complaint", "complaint": {"complainedRecipients": list(recipients)}}:
                return Told("complaint", _addresses(recipients))
    except (ValueError, RecursionError):
        return None
    return None


def _addresses(recipients: Sequence[Any]) -> list[tuple[str, str | None]]:
    """Return each address with the sentence of its mail server, which may hold anything."""
    told = [
        (visible(parseaddr(str(each.get("emailAddress", "")))[1]), str(each.get("diagnosticCode") or ""))
        for each in recipients
        if isinstance(each, dict)
    ]
    return [(address, one_line(detail, longest=MAX_DETAIL) or None) for address, detail in told if address]


def stop(told: Told, *, db: Database) -> None:
    """Stop mails to these addresses. Safe to repeat. Raise the errors of Database.query."""
    added = db.query(
        "insert_mail_stops",
        again_if_gone=True,
        reason=told.reason,
        addresses=[address for address, _ in told.recipients],
        details=[detail for _, detail in told.recipients],
    )
    # Without the addresses, which must not appear in a log.
    for _ in added:
        logger.warning(f"Mails to an address are stopped: {WORDS[told.reason]}", action="mail_stopped")


def refusal(recipient: str, *, db: Database) -> Outcome | None:
    """Return the outcome of a mail to a stopped address, else None."""
    if (said := stopped(recipient, db=db)) is None:
        return None
    return Outcome(status="unwanted", error=f"Not sent: {said}", reason="its address is stopped")
