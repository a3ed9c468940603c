"""Attempts to send rows of the outbox: claim them, and record what became of each under the number of its attempt."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nightshift.aws.aws_http import AwsRefused
from nightshift.base import metrics
from nightshift.base.errors import sentence
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.notify.notices import Notice

# After a failed attempt the sweep retries in a minute, and doubles the delay each time, up to an hour. The 30th claim
# comes a little more than a day after the first, and gives up.
RETRY_DELAY_S = 60
RETRY_CEILING_S = 3600
MAX_ATTEMPTS = 29


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of an attempt. ``status`` is as in job_outbox; "unsent" is retried."""

    status: str
    error: str | None = None
    message_id: str | None = None
    reason: str | None = None
    """The error without its text, which may hold an address: for the log."""


def claim(
    outbox_ids: Sequence[str],
    *,
    kind: Literal["mail", "event"],
    db: Database,
    settings: Settings,
    remaining_s: Callable[[], float],
) -> list[Notice]:
    """Claim one attempt at each of these rows, and return the rows. A row that is claimed, done or locked is left out.

    Raise DatabaseGone and DatabaseBusy: the queue then delivers the messages again, and if the rows are still claimed
    at that time, the sweep sends other messages.
    """
    notices = db.query_as(
        Notice,
        "claim_outbox",
        again_if_gone=True,
        outbox_ids=list(outbox_ids),
        kind=kind,
        claim_s=remaining_s() + settings.lease_margin_s,
        retry_delay_s=RETRY_DELAY_S,
        retry_ceiling_s=RETRY_CEILING_S,
    )
    claimed = {str(notice.outbox_id) for notice in notices}
    for outbox_id in outbox_ids:
        if outbox_id not in claimed:
            logger.info(
                "Ignored a message whose outbox row is claimed or done", action="notice_dropped", outbox_id=outbox_id
            )
    return notices


def record(outcomes: Sequence[tuple[Notice, Outcome]], *, db: Database) -> None:
    """Store the outcome of each claimed row in one statement, then log and count it."""
    db.query(
        "end_outbox_attempt",
        again_if_gone=True,
        outbox_ids=[str(notice.outbox_id) for notice, _ in outcomes],
        attempts=[notice.attempts for notice, _ in outcomes],
        statuses=[outcome.status for _, outcome in outcomes],
        errors=[outcome.error for _, outcome in outcomes],
        message_ids=[outcome.message_id for _, outcome in outcomes],
    )
    for notice, outcome in outcomes:
        _tell(notice, outcome)


def given_up(notice: Notice, *, function: str) -> Outcome | None:
    """Return the outcome of a row with too many attempts, else None. ``function`` is the name of the one that sends."""
    if notice.attempts <= MAX_ATTEMPTS:
        return None
    last = notice.last_error or f"the {function} function died each time"
    return Outcome(status="failed", error=f"Gave up after {MAX_ATTEMPTS} attempts: {last}", reason="gave up")


def refused(exc: Exception, *, for_good: Collection[str]) -> Outcome:
    """Return the outcome of an attempt that failed. AWS's error codes in ``for_good`` are not retried."""
    if isinstance(exc, AwsRefused):
        code, error = exc.code, f"{exc.code}: {exc.said}"
    else:
        code, error = type(exc).__name__, sentence(exc)
    return Outcome(status="failed" if code in for_good else "unsent", error=error, reason=code)


def _tell(notice: Notice, outcome: Outcome) -> None:
    kind, name = notice.kind, notice.kind.capitalize()
    about: dict[str, Any] = {"outbox_id": str(notice.outbox_id), "run_id": notice.run_id, "attempt": notice.attempts}
    match outcome.status:
        case "sent":
            logger.info(f"{name} sent", action=f"{kind}_sent", message_id=outcome.message_id, **about)
            metrics.count(f"{name}sSent")
        case "unwanted":
            logger.info(
                f"{name} not sent, because it is not wanted",
                action=f"{kind}_unwanted",
                reason=outcome.reason,
                **about,
            )
        case "failed":
            logger.error(f"{name} failed: {outcome.reason}", action=f"{kind}_failed", **about)
            metrics.count(f"{name}sFailed")
        case _:
            logger.warning(f"{name} will be retried: {outcome.reason}", action=f"{kind}_retried", **about)
            metrics.count(f"{name}sRetried")
