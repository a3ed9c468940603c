"""Whether SES would take our mails."""

from email.utils import parseaddr
from functools import partial

from nightshift.addresses import BadAddress, addresses_in, ascii_address
from nightshift.aws import client
from nightshift.ops.checks import Check, green, red, run

ALLOW = "Give OpsFunction a way to SES and ses:GetAccount and ses:GetEmailIdentity."


def examine_recipients(system_jobs_alert_email: str) -> list[Check]:
    """A line for what is no address among the operators', and none where all are."""
    try:
        for address in addresses_in(system_jobs_alert_email):
            ascii_address(address)
    except BadAddress as exc:
        return [red("alert addresses", str(exc), do="Correct the parameter SystemJobsAlertEmail and deploy again.")]
    return []


def examine_mail(mail_from: str) -> list[Check]:
    """The sender's identity and the account, a line each."""
    if not mail_from:
        do = "Verify an address or a domain in SES and deploy with the parameter MailFrom."
        return [red("sender", "MAIL_FROM is not set: no mail can be sent", do=do)]
    sender = partial(_sender, parseaddr(mail_from)[1])
    return [run("sender", sender, ALLOW), run("SES account", _account, ALLOW)]


def _sender(address: str) -> Check:
    """An address may send when it is verified itself, or its domain is."""
    domain = address.rpartition("@")[2]
    states = [(identity, _is_verified(identity)) for identity in (address, domain)]
    if verified := [identity for identity, state in states if state]:
        return green("sender", f"{address}, verified in SES as {verified[0]}")
    waits = [identity for identity, state in states if state is False]
    if waits:
        do = "Follow the link in SES's mail to that address, or add the DNS records that SES shows for the domain."
        return red("sender", f"{waits[0]} is in SES, but not verified", do=do)
    return red("sender", f"neither {address} nor {domain} is an identity in SES", do="Create one of them in SES.")


def _is_verified(identity: str) -> bool | None:
    """None where SES does not know it."""
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
        return red("SES account", "sending is switched off", do="Open SES in the console: it says why.")
    if not account.get("ProductionAccessEnabled"):
        return red(
            "SES account",
            f"in the sandbox: only verified addresses get mail; {says}",
            do="Ask for production access in the SES console; until then verify each recipient.",
        )
    return green("SES account", f"in production, {says}")
