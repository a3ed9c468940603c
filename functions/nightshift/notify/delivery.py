"""Send the mail of an outbox row once, or record in the row why it could not be sent."""

from collections.abc import Callable
from email.utils import formataddr

from nightshift.aws.aws_http import endpoint_of, post, regional_host
from nightshift.base.addresses import BadAddress, addresses_in, ascii_address
from nightshift.base.errors import DatabaseGone, sentence
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database, Row
from nightshift.notify import attempts, mail_shares
from nightshift.notify.attempts import Outcome
from nightshift.notify.mail import Mail, render_mail

# Errors that a retry cannot fix. All others may be temporary: TooManyRequestsException (the rate),
# LimitExceededException (the daily quota), SendingPausedException, a permission that IAM has not propagated yet,
# failures of SES or the network.
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors
# https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html ("Email address is not verified" is a
# MessageRejected, for the sender and, in the sandbox, for the recipient)
REFUSED_FOR_GOOD = {
    "AccountSuspendedException",
    "BadRequestException",
    "MailFromDomainNotVerifiedException",
    "MessageRejected",
    "NotFoundException",
}


def deliver(outbox_id: str, *, db: Database, settings: Settings, remaining_s: Callable[[], float]) -> None:
    """Send the mail of this outbox row, unless it has been sent or another invocation is sending it.

    Each mail is sent once, however often its message is delivered, with one exception: SES has no client token. So the
    mail is sent again if SES's response is lost (a timeout after the request, the function's death, a database that
    fails before the response is stored), or if the function freezes for longer than its claim.
    Errors of SES are stored in the row, and not raised. Raise DatabaseGone and DatabaseBusy.
    """
    rows = attempts.claim([outbox_id], kind="mail", db=db, settings=settings, remaining_s=remaining_s)
    for row in rows:
        logger.append_keys(outbox_id=outbox_id, run_id=row["run_id"], attempt=row["attempts"])
        if outcome := _attempt(row | _names_in(row, db=db), db=db, settings=settings):
            attempts.record([(row, outcome)], db=db)


def _names_in(row: Row, *, db: Database) -> Row:
    """Return the names ``{"project", "team"}``. If they cannot be read, return None for both: the notice omits them."""
    try:
        return db.query("names_in_notice", project_id=row["project_id"], team_id=row["team_id"])[0]
    except DatabaseGone:
        raise
    except Exception as exc:
        logger.warning(f"The names of team and project cannot be read: {sentence(exc)}", action="names_unread")
        return {"project": None, "team": None}


def _attempt(row: Row, *, db: Database, settings: Settings) -> Outcome | None:
    """Try to send. Return None if the mail has to wait because its team has reached its limit."""
    if not (row["recipient"] or _owner_wants(row, settings)):
        return Outcome(status="unwanted")
    if not settings.mail_from:
        return Outcome(
            status="failed",
            error="No sender address: set the stack parameter MailFrom to an address that is verified in SES",
            reason="MailFrom is empty",
        )
    if outcome := attempts.given_up(row, function="notify"):
        return outcome
    row = _addressed(row, db=db, settings=settings)
    if not mail_shares.is_due(row, db=db, settings=settings):
        return None
    if row["digest_of"]:
        row = row | {"runs": mail_shares.runs_of(row, db=db)}
        if not row["runs"]:
            return Outcome(status="unwanted")
    try:
        return Outcome(status="sent", message_id=_send_mail(row, settings))
    except BadAddress as exc:
        return Outcome(status="failed", error=str(exc), reason="BadAddress")
    except Exception as exc:
        return attempts.refused(exc, for_good=REFUSED_FOR_GOOD)


def _owner_wants(row: Row, settings: Settings) -> bool:
    """Tell whether the operator wants this mail: alerts and failures always, other runs as SystemJobsAlerts says."""
    if not addresses_in(settings.system_jobs_alert_email):
        return False
    if row["content"] or row["status"] == "failed" or settings.system_jobs_alerts != "failures":
        return True
    return bool((row["result"] or {}).get("warning"))


def _addressed(row: Row, *, db: Database, settings: Settings) -> Row:
    """Add the recipient. A mail to several operators becomes one mail to each of them."""
    if row["recipient"]:
        return row
    first, *others = addresses_in(settings.system_jobs_alert_email)
    if others:
        db.query("address_alert", outbox_id=row["id"], attempt=row["attempts"], first=first, others=others)
    return row | {"recipient": first}


def _send_mail(row: Row, settings: Settings) -> str:
    recipient, sender = ascii_address(row["recipient"]), ascii_address(settings.mail_from)
    return _send(render_mail(row, dashboard_url=settings.dashboard_url), sender=sender, recipient=recipient)


def _send(mail: Mail, *, sender: str, recipient: str) -> str:
    """Send the mail and return SES's message id. Raise the errors of nightshift.aws.aws_http."""
    simple = {
        "Subject": _utf8(mail.subject),
        "Body": {"Text": _utf8(mail.text), "Html": _utf8(mail.html)},
        # RFC 3834: prevents automatic replies, such as holiday notices.
        "Headers": [{"Name": "Auto-Submitted", "Value": "auto-generated"}],
    }
    answer = post(
        "ses",
        {
            "FromEmailAddress": formataddr(("Nightshift", sender)),
            "Destination": {"ToAddresses": [recipient]},
            "Content": {"Simple": simple},
        },
        endpoint=endpoint_of("SESV2", host=regional_host("email")),
        path="/v2/email/outbound-emails",
        content_type="application/json",
        # No retries: SES has no client token, so a retry could send the mail twice.
        attempts=1,
    )
    message_id: str = answer["MessageId"]
    return message_id


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}
