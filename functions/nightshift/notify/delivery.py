"""Send the mail or event of an outbox row once, or record in the row why it could not be sent."""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formataddr

from nightshift.aws.aws_http import AwsRefused, endpoint_of, post, regional_host
from nightshift.base import metrics
from nightshift.base.addresses import BadAddress, addresses_in, ascii_address
from nightshift.base.errors import DatabaseGone, sentence
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.database.run_row import RunRow
from nightshift.notify import events, mail_shares
from nightshift.notify.mail import Mail, render_mail
from nightshift.notify.notices import DigestLine, Names, Notice

# After a failed attempt the sweep retries in a minute, and doubles the delay each time, up to an hour. The 30th claim
# comes a little more than a day after the first, and gives up.
RETRY_DELAY_S = 60
RETRY_CEILING_S = 3600
MAX_ATTEMPTS = 29

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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of an attempt. ``status`` is as in job_outbox; "unsent" is retried."""

    status: str
    error: str | None = None
    message_id: str | None = None
    reason: str | None = None
    """The error without its text, which may hold an address: for the log."""


def deliver(outbox_id: str, *, db: Database, settings: Settings, remaining_s: Callable[[], float]) -> None:
    """Send the mail or event of this outbox row, unless it has been sent or another invocation is sending it.

    Each row is sent once, however often its message is delivered, with one exception: SES and EventBridge have no
    client token. So the row is sent again if their response is lost (a timeout after the request, the function's death,
    a database that fails before the response is stored), or if the function freezes for longer than its claim.
    Errors of SES and EventBridge are stored in the row, and not raised. Raise DatabaseGone and DatabaseBusy: the queue
    then delivers the message again, and if the row is still claimed at that time, the sweep sends another message.
    """
    notice = db.one_as(
        Notice,
        "claim_outbox",
        again_if_gone=True,
        outbox_id=outbox_id,
        claim_s=remaining_s() + settings.lease_margin_s,
        retry_delay_s=RETRY_DELAY_S,
        retry_ceiling_s=RETRY_CEILING_S,
    )
    if notice is None:
        logger.info(
            "Ignored a message whose outbox row is claimed or done", action="notice_dropped", outbox_id=outbox_id
        )
        return
    logger.append_keys(outbox_id=outbox_id, run_id=notice.run_id, attempt=notice.attempts)
    outcome = _attempt(notice, names=_names_in(notice, db=db), db=db, settings=settings)
    if outcome is None:
        return
    db.query(
        "end_outbox_attempt",
        again_if_gone=True,
        outbox_id=outbox_id,
        attempt=notice.attempts,
        status=outcome.status,
        error=outcome.error,
        message_id=outcome.message_id,
    )
    _tell(notice.kind, outcome)


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
    told = notice.event
    if not _is_wanted(notice, settings):
        return Outcome(status="unwanted")
    if not told and not settings.mail_from:
        return Outcome(
            status="failed",
            error="No sender address: set the stack parameter MailFrom to an address that is verified in SES",
            reason="MailFrom is empty",
        )
    if notice.attempts > MAX_ATTEMPTS:
        last = notice.last_error or "the notify function died each time"
        return Outcome(status="failed", error=f"Gave up after {MAX_ATTEMPTS} attempts: {last}", reason="gave up")
    digested: list[DigestLine] = []
    if not told:
        notice = _addressed(notice, db=db, settings=settings)
        if not mail_shares.is_due(notice, db=db, settings=settings):
            return None
        if notice.digest_of:
            digested = mail_shares.runs_of(notice, db=db)
            if not digested:
                return Outcome(status="unwanted")
    try:
        if told:
            message_id = events.put_event(told, bus=settings.event_bus_name)
        else:
            mail = render_mail(notice, names=names, digested=digested, dashboard_url=settings.dashboard_url)
            message_id = _send_mail(mail, to=str(notice.recipient), settings=settings)
        return Outcome(status="sent", message_id=message_id)
    except BadAddress as exc:
        return Outcome(status="failed", error=str(exc), reason="BadAddress")
    except Exception as exc:
        code, error = _what_aws_says(exc)
        for_good = code in (events.REFUSED_FOR_GOOD if told else REFUSED_FOR_GOOD)
        return Outcome(status="failed" if for_good else "unsent", error=error, reason=code)


def _is_wanted(notice: Notice, settings: Settings) -> bool:
    if notice.kind == "event":
        return bool(settings.event_bus_name)
    return bool(notice.recipient) or _owner_wants(notice.run, settings)


def _owner_wants(run: RunRow | None, settings: Settings) -> bool:
    """Tell whether the operator wants this mail: alerts and failures always, other runs as SystemJobsAlerts says."""
    if not addresses_in(settings.system_jobs_alert_email):
        return False
    if run is None or run.status == "failed" or settings.system_jobs_alerts != "failures":
        return True
    return bool((run.result or {}).get("warning"))


def _addressed(notice: Notice, *, db: Database, settings: Settings) -> Notice:
    """Add the recipient. A mail to several operators becomes one mail to each of them."""
    if notice.recipient:
        return notice
    first, *others = addresses_in(settings.system_jobs_alert_email)
    if others:
        db.query("address_alert", outbox_id=notice.outbox_id, attempt=notice.attempts, first=first, others=others)
    return notice._replace(recipient=first)


def _send_mail(mail: Mail, *, to: str, settings: Settings) -> str:
    """Send the mail and return SES's message id. Raise BadAddress, and the errors of nightshift.aws.aws_http."""
    recipient, sender = ascii_address(to), ascii_address(settings.mail_from)
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


def _what_aws_says(exc: Exception) -> tuple[str, str]:
    """Return the error's code and message."""
    if isinstance(exc, AwsRefused):
        return exc.code, f"{exc.code}: {exc.said}"
    return type(exc).__name__, sentence(exc)


def _tell(kind: str, outcome: Outcome) -> None:
    """Log and count the outcome. ``kind`` is mail or event."""
    name = kind.capitalize()
    match outcome.status:
        case "sent":
            logger.info(f"{name} sent", action=f"{kind}_sent", message_id=outcome.message_id)
            metrics.count(f"{name}sSent")
        case "unwanted":
            logger.info(f"{name} not sent, because it is not wanted", action=f"{kind}_unwanted")
        case "failed":
            logger.error(f"{name} failed: {outcome.reason}", action=f"{kind}_failed")
            metrics.count(f"{name}sFailed")
        case _:
            logger.warning(f"{name} will be retried: {outcome.reason}", action=f"{kind}_retried")
            metrics.count(f"{name}sRetried")
