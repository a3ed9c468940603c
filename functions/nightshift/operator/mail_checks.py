"""Checks of mail: would SES accept our mails?"""

from email.utils import parseaddr
from functools import partial

from nightshift.aws.clients import client
from nightshift.base.addresses import BadAddress, addresses_in, ascii_address
from nightshift.operator.checks import Check, green, red, run

ALLOW = "Give OpsFunction network access to SES, and the permissions ses:GetAccount and ses:GetEmailIdentity."


def examine_recipients(system_jobs_alert_email: str) -> list[Check]:
    """Return a red line if one of the operators' addresses is invalid, otherwise no line."""
    try:
        for address in addresses_in(system_jobs_alert_email):
            ascii_address(address)
    except BadAddress as exc:
        return [red("alert addresses", str(exc), do="Correct the parameter SystemJobsAlertEmail and deploy again.")]
    return []


def examine_mail(mail_from: str) -> list[Check]:
    """Return a line for the sender's identity and one for the SES account."""
    if not mail_from:
        do = "Verify an address or a domain in SES, and set it in the parameter MailFrom."
        return [red("sender", "MAIL_FROM is not set, so no mail can be sent", do=do)]
    sender = partial(_sender, parseaddr(mail_from)[1])
    return [run("sender", sender, ALLOW), run("SES account", _account, ALLOW)]


def _sender(address: str) -> Check:
    """Check that the address or its domain is verified in SES."""
    domain = address.rpartition("@")[2]
    states = [(identity, _is_verified(identity)) for identity in (address, domain)]
    if verified := [identity for identity, state in states if state]:
        return green("sender", f"{address}, verified in SES as {verified[0]}")
    waits = [identity for identity, state in states if state is False]
    if waits:
        do = "Follow the link in SES's mail to that address, or add the DNS records that SES shows for the domain."
        return red("sender", f"{waits[0]} is an identity in SES, but is not verified", do=do)
    return red("sender", f"neither {address} nor {domain} is an identity in SES", do="Create one of them in SES.")


def _is_verified(identity: str) -> bool | None:
    """Return whether SES has verified the identity; None if SES does not know it."""
    ses = client("sesv2")
    try:
        return bool(ses.get_email_identity(EmailIdentity=identity)["VerifiedForSendingStatus"])
    except ses.exceptions.NotFoundException:
        return None


def _account() -> Check:
    account = client("sesv2").get_account()
    quota = account.get("SendQuota", {})
    says = f"{quota.get('SentLast24Hours', 0):,.0f} of {quota.get('Max24HourSend', 0):,.0f} mails sent in 24 hours"
    if not account.get("SendingEnabled", True):
        return red("SES account", "sending is switched off", do="See the reason in the SES console.")
    if not account.get("ProductionAccessEnabled"):
        return red(
            "SES account",
            f"in the sandbox: only verified addresses receive mail; {says}",
            do="Request production access in the SES console. Until then, verify each recipient.",
        )
    return green("SES account", f"in production, {says}")
