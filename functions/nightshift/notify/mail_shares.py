"""Limit a team's mails per hour. Mails beyond the limit are collected in one digest per recipient."""

from datetime import datetime
from typing import Any, NamedTuple

from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.notify.notices import DigestLine, Notice

# Runs that a digest names. It only counts the others.
LISTED = 12


class Share(NamedTuple):
    """The answer of take_mail_share.sql."""

    is_taken: bool
    opens_at: datetime


def is_due(notice: Notice, *, db: Database, settings: Settings) -> bool:
    """Tell whether this mail is sent now. Otherwise it waits for a digest, or as one does: the mail of an alert.

    A mail counts only at its first attempt, so that retries after temporary errors of SES do not use up the limit.
    """
    team_id, waits = notice.team_id, notice.digest_of is not None
    if team_id is None or not settings.mails_per_team_and_hour or notice.attempts > 1:
        return True
    at_most = settings.mails_per_team_and_hour
    [share] = db.query_as(Share, "take_mail_share", team_id=team_id, is_digest=waits, at_most=at_most)
    if share.is_taken:
        return True
    own: dict[str, Any] = {"outbox_id": notice.outbox_id, "attempt": notice.attempts, "opens_at": share.opens_at}
    if waits:
        db.query("postpone_digest", **own)
    else:
        db.query("digest_mail", team_id=team_id, recipient=notice.recipient, **own)
    logger.info("The team has reached its limit of mails per hour", action="mail_digested", team_id=str(team_id))
    return False


def runs_of(digest: Notice, *, db: Database) -> list[DigestLine]:
    """Return the runs of the digest, and close it: later runs go into another digest."""
    db.query("close_digest", outbox_id=digest.outbox_id)
    return db.query_as(DigestLine, "list_digest", outbox_id=digest.outbox_id, at_most=LISTED)
