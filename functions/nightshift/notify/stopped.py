"""The sentences for an operator and for a team about an address to which mails are stopped."""

from datetime import datetime
from typing import NamedTuple

from nightshift.base.addresses import BadAddress, ascii_address
from nightshift.database.queries import Database
from nightshift.database.run_row import RunRow

WORDS = {"bounce": "a mail to it bounced for good", "complaint": "its reader reported a mail as spam"}
LIFT = "The operator lifts the stop: nightshift system mail-stops"


class MailStop(NamedTuple):
    """A row of job_mail_stops."""

    address: str
    reason: str
    detail: str | None
    stopped_at: datetime

    @property
    def says(self) -> str:
        return WORDS[self.reason] + (f" ({self.detail})" if self.detail else "")


def stopped(recipient: str, *, db: Database) -> str | None:
    """Say why mails to this address are stopped, else return None."""
    address = _known(recipient)
    found = db.one_as(MailStop, "find_mail_stop", address=address) if address else None
    return found and f"mails to this address are {_since(found.stopped_at)}, because {found.says}. {LIFT}"


def stopped_of_run(run: RunRow, *, db: Database) -> str | None:
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
