"""Limit a team's mails per hour. Mails beyond the limit are collected in one digest per recipient."""

from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database, Row

# Runs that a digest names. It only counts the others.
LISTED = 12


def is_due(row: Row, *, db: Database, settings: Settings) -> bool:
    """Tell whether the mail in this row of claim_outbox.sql is sent now. Otherwise it waits for a digest.

    A mail counts only at its first attempt, so that retries after temporary errors of SES do not use up the limit.
    """
    is_digest = row["digest_of"] is not None
    if row["team_id"] is None or not settings.mails_per_team_and_hour or row["attempts"] > 1:
        return True
    share = db.query(
        "take_mail_share", team_id=row["team_id"], is_digest=is_digest, at_most=settings.mails_per_team_and_hour
    )[0]
    if share["is_taken"]:
        return True
    own = {"outbox_id": row["id"], "attempt": row["attempts"], "opens_at": share["opens_at"]}
    if is_digest:
        db.query("postpone_digest", **own)
    else:
        db.query("digest_mail", team_id=row["team_id"], recipient=row["recipient"], **own)
    logger.info("The team has reached its limit of mails per hour", action="mail_digested", team_id=str(row["team_id"]))
    return False


def runs_of(digest: Row, *, db: Database) -> list[Row]:
    """Return the runs of the digest, as rows of list_digest.sql, and close it: later runs go into another digest."""
    db.query("close_digest", outbox_id=digest["id"])
    return db.query("list_digest", outbox_id=digest["id"], at_most=LISTED)
