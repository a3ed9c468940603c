"""Deliver what an alert has to send to its endpoint: one delivery after the other, until one fails or none is due."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from nightshift.alerts import messages, webhook_secrets
from nightshift.alerts.endpoint_calls import CALL_S, Called, call
from nightshift.alerts.public_endpoints import SLACK_HOST, Endpoint, parse_endpoint
from nightshift.base import metrics
from nightshift.base.errors import Refused
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database

# A delivery is tried again after a minute, and each delay doubles, up to an hour. Its day is over when it expires.
RETRY_DELAY_S = 60
RETRY_CEILING_S = 3600
# An endpoint that does not answer, or in trouble, is left alone for as long, up to ten minutes. So it costs one call,
# however much waits for it, and gets its messages in order afterwards.
ENDPOINT_CEILING_S = 600
# An alert is paused when its endpoint will have failed for this time at the next try. It is an hour less than a
# delivery's day, so that the last try of the first delivery pauses it.
PAUSE_AFTER = timedelta(hours=23)
# Time for the statements after a call.
RESERVE_S = 5
GONE = 410

Call = Callable[[Endpoint, bytes, dict[str, str]], Called]


class Claimed(NamedTuple):
    """A delivery that this invocation tries (claim_delivery.sql), with its alert."""

    id: UUID
    kind: str
    data: dict[str, Any]
    tries: int
    created_at: datetime
    send_at: datetime
    expires_at: datetime
    alert_id: UUID
    team_id: UUID
    channel: str
    name: str
    config: dict[str, Any]
    claims: int
    failures: int
    failing_since: datetime | None
    retry_at: datetime | None
    secret_encrypted: bytes
    old_secret_encrypted: bytes | None


def deliver(
    alert_id: str,
    *,
    clock: Callable[[], datetime],
    db: Database,
    settings: Settings,
    remaining_s: Callable[[], float],
    call: Call = call,
) -> int:
    """Send what is due, and return the number of calls. The sweep comes back to what is left, and to what failed.

    At least once: an endpoint whose answer is lost gets the message again, with the same id. Raise the errors of the
    database, and those of nightshift.aws.aws_http if KMS does not decrypt the secret: the queue's message comes again.
    """
    calls = 0
    while remaining_s() > CALL_S + RESERVE_S:
        claimed = _claim(alert_id, now=clock(), claim_s=remaining_s() + settings.lease_margin_s, db=db)
        if claimed is None:
            break
        logger.append_keys(delivery_id=str(claimed.id), alert_id=alert_id, attempt=claimed.tries)
        called = _call(claimed, now=clock(), settings=settings, call=call)
        _record(claimed, called, now=clock(), db=db)
        calls += 1
        if not (called.is_accepted or called.is_of_the_message or claimed.kind == "test"):
            break
    return calls


def _claim(alert_id: str, *, now: datetime, claim_s: float, db: Database) -> Claimed | None:
    with db.transaction():
        if not db.query("lock_alert_to_deliver", alert_id=alert_id, now=now):
            return None
        return db.one_as(
            Claimed,
            "claim_delivery",
            alert_id=alert_id,
            now=now,
            claim_s=claim_s,
            retry_delay_s=RETRY_DELAY_S,
            retry_ceiling_s=RETRY_CEILING_S,
        )


def _call(claimed: Claimed, *, now: datetime, settings: Settings, call: Call) -> Called:
    keys = _secrets_of(claimed)
    if keys is None:
        return Called(error="Its secret cannot be decrypted. Store the address again, or rotate the secret")
    is_slack = claimed.channel == "slack"
    headers = {"Content-Type": "application/json", "User-Agent": "Nightshift-Webhooks"}
    if is_slack:
        body = messages.slack_text(
            claimed.kind, claimed.data, alert_name=claimed.name, dashboard_url=settings.dashboard_url
        )
    else:
        body = messages.webhook_body(
            claimed.kind,
            claimed.data,
            at=str(timestamp(claimed.created_at)),
            alert={"id": str(claimed.alert_id), "name": claimed.name},
            dashboard_url=settings.dashboard_url,
        )
        headers |= webhook_secrets.signed_headers(str(claimed.id), body, keys, now=now)
    try:
        # Checked again: an earlier release may have stored what this one refuses.
        endpoint = parse_endpoint(
            keys[0] if is_slack else claimed.config["url"],
            sink_url=settings.alert_sink_url,
            only_host=SLACK_HOST if is_slack else None,
        )
    except Refused as exc:
        return Called(error=f"Not called: {exc}")
    return call(endpoint, body, headers)


def _secrets_of(claimed: Claimed) -> list[str] | None:
    """Return the secrets, the newest first; None if KMS will never decrypt one. Raise its other errors."""
    from nightshift.aws.aws_http import AwsRefused

    try:
        return [
            webhook_secrets.decrypted(each, team_id=str(claimed.team_id))
            for each in (claimed.secret_encrypted, claimed.old_secret_encrypted)
            if each is not None
        ]
    except AwsRefused as exc:
        if exc.code != "InvalidCiphertextException":
            raise
        return None


def _record(claimed: Claimed, called: Called, *, now: datetime, db: Database) -> None:
    """Store what became of the try, and what follows for the alert."""
    is_test = claimed.kind == "test"
    is_over = called.is_accepted or is_test or called.status == GONE or claimed.send_at >= claimed.expires_at
    failures, failing_since, retry_at, why = 0, None, None, None
    if is_test and not called.is_accepted:
        failures, failing_since, retry_at = claimed.failures, claimed.failing_since, claimed.retry_at
    elif not called.is_accepted:
        failures, failing_since = claimed.failures + 1, claimed.failing_since or now
        if not called.is_of_the_message:
            delay_s = min(ENDPOINT_CEILING_S, RETRY_DELAY_S * 2 ** min(claimed.failures, 10))
            retry_at = now + timedelta(seconds=delay_s)
        if called.status == GONE:
            why = "Its endpoint is gone for good: it answered with HTTP 410"
        elif claimed.send_at - failing_since >= PAUSE_AFTER:
            why = f"Its endpoint has accepted no message since {failing_since:%Y-%m-%d %H:%M} UTC. {called.error}"
    status = "sent" if called.is_accepted else "failed" if is_over else "unsent"
    stored = db.query(
        "end_delivery_try",
        alert_id=str(claimed.alert_id),
        claims=claimed.claims,
        delivery_id=str(claimed.id),
        status=status,
        answer_status=called.status,
        answer=called.answer,
        error=called.error,
        failures=failures,
        failing_since=failing_since,
        retry_at=retry_at,
        pause_why=why,
        now=now,
    )
    if not stored:
        logger.warning("The call took longer than its claim; another one counts", action="delivery_late")
        return
    action = {"sent": "sent", "failed": "failed"}.get(status, "retried")
    # Without the URL and the answer, which belong to the team.
    logger.info(f"Alert {action}", action=f"alert_{action}", status=called.status, paused=why is not None)
    metrics.count({"sent": "AlertsSent", "failed": "AlertsFailed"}.get(status, "AlertsRetried"))
