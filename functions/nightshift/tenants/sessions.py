"""Sessions of people who signed in with a code or a link. The database stores only a hash of each token."""

import secrets
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from nightshift.base.errors import NotFound
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.tenants import audit
from nightshift.tenants.audit import Author
from nightshift.tenants.auth import SESSION_PREFIX, key_hash

# As in job_sessions: a session ends at this age, in use or not.
LONGEST_S = 30 * 86_400
# A person has a few. The limit bounds the answer, not the sessions.
MAX_LISTED = 200


class Client(NamedTuple):
    """The program that signs in, and the network it comes from, as its person will recognise them."""

    browser: str
    source: str
    is_browser: bool
    """A browser gets a cookie, another program a bearer token."""


class Session(NamedTuple):
    id: UUID
    is_cookie: bool
    signed_in_by: str
    source: str
    browser: str
    created_at: datetime
    last_used_at: datetime
    ends_at: datetime

    def as_json(self, *, current_id: str | None) -> dict[str, Any]:
        """Return the session. ``current_id`` is the one that the request itself belongs to."""
        return {
            "id": str(self.id),
            "browser": self.browser,
            "network": self.source,
            "signed_in_by": self.signed_in_by,
            "created_at": timestamp(self.created_at),
            "last_used_at": timestamp(self.last_used_at),
            "ends_at": timestamp(self.ends_at),
            "is_current": str(self.id) == current_id,
        }


def start(
    user_id: str, *, by: str, client: Client, replaces: str | None, request_id: str, db: Database
) -> tuple[Session, str] | None:
    """Start a session and return it with its token, or None if the person was deleted. Call this in a transaction.

    The token is new at each sign-in. ``replaces`` is the token that the browser has had until now; its session ends.
    """
    token = SESSION_PREFIX + secrets.token_urlsafe(32)
    row = db.one(
        "insert_session",
        user_id=user_id,
        token_hash=key_hash(token),
        is_cookie=client.is_browser,
        signed_in_by=by,
        source=client.source,
        browser=client.browser,
        replaced_hash=replaces and key_hash(replaces),
    )
    if row is None:
        return None
    replaced_id, replaced_user_id = row.pop("replaced_id"), row.pop("replaced_user_id")
    made = Session(**row)
    if replaced_id is not None:
        owner = Author(actor=f"user:{replaced_user_id}", request_id=request_id)
        audit.record(db, owner, "session.ended", of=("session", replaced_id), team_id=None, replaced_by=str(made.id))
    author = Author(actor=f"user:{user_id}", request_id=request_id)
    audit.record(db, author, "session.started", of=("session", made.id), team_id=None, by=by, browser=client.browser)
    return made, token


def list_of(user_id: str, *, current_id: str | None, db: Database) -> list[dict[str, Any]]:
    """Return the person's sessions, the last used first."""
    found = db.query_as(Session, "list_sessions", user_id=user_id, limit=MAX_LISTED)
    return [session.as_json(current_id=current_id) for session in found]


def end(user_id: str, *, session_id: str | None, author: Author, db: Database) -> int:
    """End one session of the person, or all if ``session_id`` is None. Return how many ended.

    Raise NotFound if the person has no such session.
    """
    with db.transaction():
        ended = db.query("end_sessions", user_id=user_id, session_id=session_id)
        if not ended and session_id is not None:
            raise NotFound("Session not found")
        if ended:
            subject = ("session", session_id) if session_id else ("user", user_id)
            audit.record(db, author, "session.ended", of=subject, team_id=None, sessions=len(ended))
    return len(ended)
