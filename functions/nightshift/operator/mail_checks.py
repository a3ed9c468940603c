"""Checks of mail: would SES accept our mails?"""

from email.utils import parseaddr
from functools import partial

from nightshift.aws.clients import client
from nightshift.base.addresses import BadAddress, addresses_in, ascii_address
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.notify.stopped import MailStop
from nightshift.operator.checks import Check, Finding, count_of, green, red

ALLOW = "Give OperateFunction network access to SES, and the permissions ses:GetAccount and ses:GetEmailIdentity."


def checks_of_mail(settings: Settings) -> list[Check]:
    """Return the checks of the sender and the SES account, after one of the operators' addresses if one is invalid."""
    checks = []
    if trouble := _invalid_address(settings.system_jobs_alert_email):
        correct = "Correct the parameter SystemJobsAlertEmail and deploy again."
        checks.append(Check("alert addresses", partial(red, trouble, do=correct)))
    if not settings.mail_from:
        verify = "Verify an address or a domain in SES, and set it in the parameter MailFrom."
        return [*checks, Check("sender", partial(red, "MAIL_FROM is not set, so no mail can be sent", do=verify))]
    sender = partial(_sender, parseaddr(settings.mail_from)[1])
    return [*checks, Check("sender", sender, ALLOW), Check("SES account", _account, ALLOW)]


def check_stops(db: Database, settings: Settings) -> Finding:
    """Check that the operators' own addresses get mails, and count the others that do not."""
    stopped = [each.address for each in db.query_as(MailStop, "list_mail_stops", at_most=1000)]
    try:
        operators = {ascii_address(address).lower() for address in addresses_in(settings.system_jobs_alert_email)}
    except BadAddress:
        operators = set()  # another check says so
    do = "See why: nightshift system mail-stops. Repair the mailbox, then add --lift ADDRESS."
    if own := [address for address in stopped if address in operators]:
        return red(f"mails to {', '.join(own)}, an address of the operators, are stopped", do=do)
    return green(
        f"{count_of(len(stopped), 'address', 'addresses')} of others (nightshift system mail-stops)"
        if stopped
        else "none"
    )


def _invalid_address(addresses: str) -> str | None:
    """Say why one of the addresses is invalid. Return None if all are valid."""
    try:
        for address in addresses_in(addresses):
            ascii_address(address)
    except BadAddress as exc:
        return str(exc)
    return None


def _sender(address: str) -> Finding:
    """Check that the address or its domain is verified in SES."""
    domain = address.rpartition("@")[2]
    states = [(identity, _is_verified(identity)) for identity in (address, domain)]
    if verified := [identity for identity, state in states if state]:
        return green(f"{address}, verified in SES as {verified[0]}")
    waits = [identity for identity, state in states if state is False]
    if waits:
        do = "Follow the link in SES's mail to that address, or add the DNS records that SES shows for the domain."
        return red(f"{waits[0]} is an identity in SES, but is not verified", do=do)
    return red(f"neither {address} nor {domain} is an identity in SES", do="Create one of them in SES.")


def _is_verified(identity: str) -> bool | None:
    """Return whether SES has verified the identity; None if SES does not know it."""
    ses = client("sesv2")
    try:
        return bool(ses.get_email_identity(EmailIdentity=identity)["VerifiedForSendingStatus"])
    except ses.exceptions.NotFoundException:
        return None


def _account() -> Finding:
    account = client("sesv2").get_account()
    quota = account.get("SendQuota", {})
    says = f"{quota.get('SentLast24Hours', 0):,.0f} of {quota.get('Max24HourSend', 0):,.0f} mails sent in 24 hours"
    if not account.get("SendingEnabled", True):
        return red("sending is switched off", do="See the reason in the SES console.")
    if not account.get("ProductionAccessEnabled"):
        return red(
            f"in the sandbox: only verified addresses receive mail; {says}",
            do="Request production access in the SES console. Until then, verify each recipient.",
        )
    return green(f"in production, {says}")
