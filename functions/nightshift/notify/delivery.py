"""Send the mail of an outbox row once, or record in the row why it could not be sent."""

from collections.abc import Callable
from email.utils import formataddr

from nightshift.aws.aws_http import endpoint_of, post, regional_host
from nightshift.base.addresses import BadAddress, addresses_in, ascii_address
from nightshift.base.errors import DatabaseGone, sentence
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.database.run_row import RunRow
from nightshift.notify import address_tokens, attempts, mail_shares, mail_stops
from nightshift.notify.attempts import Outcome
from nightshift.notify.mail import Mail, render_mail
from nightshift.notify.notices import DigestLine, Names, Notice

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
    for notice in attempts.claim([outbox_id], kind="mail", db=db, settings=settings, remaining_s=remaining_s):
        logger.append_keys(outbox_id=outbox_id, run_id=notice.run_id, attempt=notice.attempts)
        if outcome := _attempt(notice, names=_names_in(notice, db=db), db=db, settings=settings):
            attempts.record([(notice, outcome)], db=db)


def _names_in(notice: Notice, *, db: Database) -> Names:
    """Return the names of project and team. If they cannot be read, return None for both: the notice omits them."""
    try:
        return db.query_as(Names, "names_in_notice", project_id=notice.project_id, team_id=notice.team_id)[0]
    except DatabaseGone:
        raise
    except Exception as exc:
        logger.warning(f"The names of team and project cannot be read: {sentence(exc)}", action="names_unread")
        return Names()


def _attempt(notice: Notice, *, names: Names, db: Database, settings: Settings) -> Outcome | None:
    """Try to send. Return None if the mail has to wait because its team has reached its limit."""
    if not (notice.recipient or _owner_wants(notice.run, settings)):
        return Outcome(status="unwanted")
    if not settings.mail_from:
        return Outcome(
            status="failed",
            error="No sender address: set the stack parameter MailFrom to an address that is verified in SES",
            reason="MailFrom is empty",
        )
    if outcome := attempts.given_up(notice, function="notify"):
        return outcome
    notice = _addressed(notice, db=db, settings=settings)
    if not _alert_has_recipient(notice, db=db):
        return Outcome(status="unwanted")
    if outcome := mail_stops.refusal(str(notice.recipient), db=db):
        return outcome
    if not mail_shares.is_due(notice, db=db, settings=settings):
        return None
    digested: list[DigestLine] = []
    if notice.is_digest:
        digested = mail_shares.runs_of(notice, db=db)
        if not digested:
            return Outcome(status="unwanted")
    if notice.content and notice.content.get("confirms"):
        token = address_tokens.issue(notice, db=db)
        if token is None:
            return Outcome(status="unwanted")
        notice = address_tokens.with_link(notice, token)
    try:
        mail = render_mail(notice, names=names, digested=digested, dashboard_url=settings.dashboard_url)
        return Outcome(status="sent", message_id=send_mail(mail, to=str(notice.recipient), settings=settings))
    except BadAddress as exc:
        return Outcome(status="failed", error=str(exc), reason="BadAddress")
    except Exception as exc:
        return attempts.refused(exc, for_good=REFUSED_FOR_GOOD)


def _owner_wants(run: RunRow | None, settings: Settings) -> bool:
    """Tell whether the operator wants this mail: alerts and failures always, other runs as SystemJobsAlerts says."""
    if not addresses_in(settings.system_jobs_alert_email):
        return False
    if run is None or run.status == "failed" or settings.system_jobs_alerts != "failures":
        return True
    return bool((run.result or {}).get("warning"))


def _alert_has_recipient(notice: Notice, *, db: Database) -> bool:
    """Tell whether the team's alert still has this recipient: a person may have left, or it may be deleted."""
    if notice.content is None or (alert_id := notice.content.get("alert_id")) is None:
        return True
    return any(row["address"] == notice.recipient for row in db.query("list_alert_recipients", alert_id=alert_id))


def _addressed(notice: Notice, *, db: Database, settings: Settings) -> Notice:
    """Add the recipient. A mail to several operators becomes one mail to each of them."""
    if notice.recipient:
        return notice
    first, *others = addresses_in(settings.system_jobs_alert_email)
    if others:
        db.query("address_alert", outbox_id=notice.outbox_id, attempt=notice.attempts, first=first, others=others)
    return notice._replace(recipient=first)


def send_mail(mail: Mail, *, to: str, settings: Settings) -> str:
    """Send the mail and return SES's message id. Raise BadAddress, and the errors of nightshift.aws.aws_http."""
    recipient, sender = ascii_address(to), ascii_address(settings.mail_from)
    return _send(mail, sender=sender, recipient=recipient, configuration_set=settings.mail_configuration_set)


def _send(mail: Mail, *, sender: str, recipient: str, configuration_set: str) -> str:
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
        }
        | ({"ConfigurationSetName": configuration_set} if configuration_set else {}),
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
