"""The tokens by which the owner of a mail address confirms that a team may send its alerts there.

A token is made when its mail is sent, so that the outbox never holds it; the database stores its hash.
"""

import hashlib
import secrets

from nightshift.database.queries import Database
from nightshift.notify.notices import Notice


def issue(notice: Notice, *, db: Database) -> str | None:
    """Return a new token for the address of the mail, or None if it is confirmed, or no alert names it any longer."""
    token = secrets.token_urlsafe(32)
    stored = db.query(
        "issue_address_token", team_id=notice.digest_of, address=notice.recipient, token_hash=hash_of(token)
    )
    return token if stored else None


def with_link(notice: Notice, token: str) -> Notice:
    """Return the mail with a link to the page that confirms. The token is behind #, which browsers do not send."""
    assert notice.content is not None
    return notice._replace(content={**notice.content, "page": f"confirm#{token}"})


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
