"""Stop mails to addresses of which SES has told that a mail bounced for good, or that its reader called it spam."""

import json
from collections.abc import Sequence
from datetime import datetime
from email.utils import parseaddr
from typing import Any, NamedTuple

from nightshift.base.addresses import BadAddress, ascii_address
from nightshift.base.logger import logger
from nightshift.base.wording import one_line, visible
from nightshift.database.queries import Database
from nightshift.database.run_row import RunRow
from nightshift.notify.attempts import Outcome

WORDS = {"bounce": "a mail to it bounced for good", "complaint": "its reader reported a mail as spam"}
LIFT = "The operator lifts the stop: nightshift system mail-stops"
MAX_DETAIL = 500


class MailStop(NamedTuple):
    """A row of job_mail_stops."""

    address: str
    reason: str
    detail: str | None
    stopped_at: datetime

    @property
    def says(self) -> str:
        return WORDS[self.reason] + (f" ({self.detail})" if self.detail else "")


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
    stopped = db.query(
        "insert_mail_stops",
        again_if_gone=True,
        reason=told.reason,
        addresses=[address for address, _ in told.recipients],
        details=[detail for _, detail in told.recipients],
    )
    # Without the addresses, which must not appear in a log.
    for _ in stopped:
        logger.warning(f"Mails to an address are stopped: {WORDS[told.reason]}", action="mail_stopped")


def refusal(recipient: str, *, db: Database) -> Outcome | None:
    """Return the outcome of a mail to a stopped address, else None."""
    if (said := told_of(recipient, db=db)) is None:
        return None
    return Outcome(status="unwanted", error=f"Not sent: {said}", reason="its address is stopped")


def told_of(recipient: str, *, db: Database) -> str | None:
    """Say why mails to this address are stopped, else return None."""
    address = _known(recipient)
    found = db.one_as(MailStop, "find_mail_stop", address=address) if address else None
    return found and f"mails to this address are {_since(found.stopped_at)}, because {found.says}. {LIFT}"


def told_of_run(run: RunRow, *, db: Database) -> str | None:
    """Say why its reader got no mail about a run of a team, without the address, else return None."""
    if not run.notify or run.completed_at is None:
        return None
    recipients = db.query("list_recipients", run_id=run.id)
    addresses = [address for each in recipients if (address := _known(each["recipient"]))]
    found = db.one("find_stop_of_any", addresses=addresses) if addresses else None
    if found is None:
        return None
    since, why = _since(found["stopped_at"]), WORDS[found["reason"]]
    return f"Mails to the person who triggered this run are {since}, because {why}. {LIFT}"


def _known(recipient: str) -> str | None:
    """Return the address as SES names it. A mail to a bad address fails for that reason."""
    try:
        return ascii_address(recipient)
    except BadAddress:
        return None


def _since(stopped_at: datetime) -> str:
    return f"stopped since {stopped_at:%Y-%m-%d}"
