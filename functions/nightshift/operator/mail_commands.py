"""The commands that send a test mail, show its result, and list and lift stops of mails to an address."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from nightshift.base.errors import NotFound, Refused
from nightshift.base.settings import Settings
from nightshift.base.validation import is_mail_address, shown
from nightshift.database.queries import Database
from nightshift.notify import outbox
from nightshift.notify.stopped import MailStop
from nightshift.operator.run_commands import MailRow
from nightshift.tenants import audit
from nightshift.tenants.audit import Author


def send_test_mail(*, to: str, db: Database, settings: Settings, author: Author) -> dict[str, Any]:
    """Send a mail through outbox, queue and notify function, like every mail, and return ``{"mail"}``.

    To learn whether it was sent, the caller uses the command ``mail``.
    """
    if not is_mail_address(to):
        raise Refused(f"to must be a mail address, got {shown(to)}")
    content = {
        "subject": "Nightshift: a test mail",
        "lines": ["This mail was sent through Nightshift's outbox, its queue and SES.", "No action is needed."],
    }
    db.query("ping", again_if_gone=True)
    with db.transaction():
        [row] = db.query("insert_test_mail", recipient=to, content=content)
        audit.record(db, author, "mail.tested", of=("mail", row["id"]), team_id=None, to=to)
    outbox.send_messages([row], settings=settings)
    return view_mail(mail_id=row["id"], db=db)


def view_mail(*, mail_id: UUID, db: Database) -> dict[str, Any]:
    """Return ``{"mail": {"id", "recipient", "status", "attempts", "error", "created_at", "ended_at"}}``."""
    mail = db.one_as(MailRow, "get_mail", again_if_gone=True, id=str(mail_id))
    if mail is None:
        raise NotFound(f"Unknown mail {mail_id}")
    return {"mail": mail.as_json()}


def list_mail_stops(*, at_most: Annotated[int, Field(ge=1, le=1000)] = 100, db: Database) -> dict[str, Any]:
    """Return ``{"stops": [{"address", "reason", "detail", "stopped_at"}]}``, the newest first."""
    found = db.query_as(MailStop, "list_mail_stops", again_if_gone=True, at_most=at_most)
    return {"stops": [_as_json(each) for each in found]}


def lift_mail_stop(*, address: str, db: Database, author: Author) -> dict[str, Any]:
    """Let mails go to the address again, and return ``{"lifted": stop}``. Raise Refused if it is not stopped."""
    db.query("ping", again_if_gone=True)
    with db.transaction():
        found = db.one_as(MailStop, "delete_mail_stop", address=address.strip())
        if found:
            audit.record(db, author, "mail_stop.lifted", of=("address", found.address), team_id=None)
    if found is None:
        raise Refused(
            f"Mails to {shown(address)} are not stopped. `nightshift system mail-stops` lists the stopped addresses"
        )
    return {"lifted": _as_json(found)}


def _as_json(stop: MailStop) -> dict[str, Any]:
    return stop._asdict() | {"stopped_at": stop.stopped_at.isoformat()}
