"""The commands that send a test mail, and show what became of it."""

from typing import Any
from uuid import UUID

from nightshift.base.errors import NotFound, Refused
from nightshift.base.settings import Settings
from nightshift.base.validation import is_mail_address, shown
from nightshift.database.queries import Database
from nightshift.notify import outbox
from nightshift.operator.run_commands import MailRow


def send_test_mail(*, to: str, db: Database, settings: Settings) -> dict[str, Any]:
    """Send a mail through outbox, queue and notify function, like every mail, and return ``{"mail"}``.

    To learn whether it was sent, the caller uses the command ``mail``.
    """
    if not is_mail_address(to):
        raise Refused(f"to must be a mail address, got {shown(to)}")
    content = {
        "subject": "Nightshift: a test mail",
        "lines": ["This mail was sent through Nightshift's outbox, its queue and SES.", "No action is needed."],
    }
    [row] = db.query("insert_test_mail", recipient=to, content=content)
    outbox.send_messages([row], settings=settings)
    return view_mail(mail_id=row["id"], db=db)


def view_mail(*, mail_id: UUID, db: Database) -> dict[str, Any]:
    """Return ``{"mail": {"id", "recipient", "status", "attempts", "error", "created_at", "ended_at"}}``."""
    mail = db.one_as(MailRow, "get_mail", again_if_gone=True, id=str(mail_id))
    if mail is None:
        raise NotFound(f"Unknown mail {mail_id}")
    return {"mail": mail.as_json()}
