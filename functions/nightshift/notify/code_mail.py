"""The mail with a code for signing in. The code is computed here, and neither stored nor logged.

A code is worth ten minutes, and its person can ask for another one. So this mail has no row in the outbox, and is sent
at most once: its sign-in is the row that says whether it left.
"""

from datetime import datetime
from typing import NamedTuple

from nightshift.base import metrics, wording
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.notify.delivery import send_mail
from nightshift.notify.mail import render_content
from nightshift.notify.mail_content import Facts, MailContent
from nightshift.tenants import sign_in_codes

# Mails to one person within an hour: enough for a few mistakes, too few to fill an inbox.
MOST_FOR_ONE = 5


class CodeMail(NamedTuple):
    """The mail of a code, as claim_code_mail.sql returns it."""

    recipient: str
    source: str
    browser: str
    asked_at: datetime
    expires_at: datetime


def deliver_code(sign_in_id: str, *, db: Database, settings: Settings) -> None:
    """Mail the code of this sign-in, if it belongs to a person who may get one. Raise the errors of Database.query."""
    mail = db.one_as(
        CodeMail,
        "claim_code_mail",
        sign_in_id=sign_in_id,
        for_one=MOST_FOR_ONE,
        in_all=settings.sign_in_codes_per_hour,
    )
    if mail is None:
        # The same words for an unknown address and for a share that is used up: the log names no address.
        logger.info("A code is not mailed", action="code_unwanted", sign_in_id=sign_in_id)
        return
    try:
        code = sign_in_codes.code_of(sign_in_id, settings=settings)
        content = describe_code(mail, code=code, dashboard_url=settings.dashboard_url)
        message_id = send_mail(render_content(content), to=mail.recipient, settings=settings)
    except Exception as exc:
        # The exception's text may hold the address.
        reason = type(exc).__name__ if settings.mail_from else "MailFrom is empty"
        logger.error(f"The mail with a code failed: {reason}", action="code_failed", sign_in_id=sign_in_id)
        metrics.count("MailsFailed")
    else:
        logger.info("Mailed a code", action="code_sent", sign_in_id=sign_in_id, message_id=message_id)
        metrics.count("MailsSent")


def describe_code(mail: CodeMail, *, code: str, dashboard_url: str) -> MailContent:
    """Return the content of the mail. Its subject lacks the code: locked screens and SES's events show subjects."""
    half, until = len(code) // 2, wording.moment(mail.expires_at)
    place = f" at {dashboard_url}" if dashboard_url else ""
    return MailContent(
        tone="cancelled",
        subject="Your code for Nightshift",
        badge="Sign-in code",
        title=f"{code[:half]} {code[half:]}",
        paragraphs=[
            f"Enter this code in the window where you asked for it. It works once, until {until}.",
            "If you did not ask for it, ignore this mail: without the code, no sign-in takes place. Never tell the "
            f"code to another person, and enter it only in the dashboard{place}, or in a terminal that you opened "
            "yourself.",
        ],
        sections=[
            Facts(
                "Asked for",
                [("With", mail.browser), ("From", mail.source), ("At", wording.moment(mail.asked_at))],
            )
        ],
        reason="You get this mail because a person asked for a code to sign in to Nightshift with your address.",
    )
