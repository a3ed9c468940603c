"""A team's share of the mails: so many in an hour, and what is beyond them in one digest to each recipient."""

from nightshift.database import Database, Row
from nightshift.log import logger
from nightshift.settings import Settings

# Runs that a digest names; it counts the others.
LISTED = 12


def is_due(row: Row, *, db: Database, settings: Settings) -> bool:
    """Whether this mail goes out now; it waits for a digest otherwise. ``row`` is of claim_outbox.sql.

    A mail takes its share at its first attempt, so that what SES refuses for a while does not use up the team's.
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
    logger.info("The team has had its mails of the hour", action="mail_digested", team_id=str(row["team_id"]))
    return False


def runs_of(digest: Row, *, db: Database) -> list[Row]:
    """The runs that the digest tells of, as list_digest.sql has them; from here on it takes no more."""
    db.query("close_digest", outbox_id=digest["id"])
    return db.query("list_digest", outbox_id=digest["id"], at_most=LISTED)
