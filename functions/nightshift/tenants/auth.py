"""Authentication and authorization: keys and sessions are found by their SHA-256, other tokens are signed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

from nightshift.base.errors import Forbidden, NightshiftError, Unauthorized
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.tenants import tokens

API_KEY_PREFIX = "owl_agent_"
SESSION_PREFIX = "owl_session_"
AGENT_PERMISSIONS = ("jobs:read", "jobs:write")
READ_ONLY_PERMISSIONS = ("jobs:read",)
# Permissions that no key has unless it was made with them: what they allow is otherwise for a team's admins.
EXTRA_PERMISSIONS = ("audit:read", "integrations:write")
MANAGING_ROLES = ("admin", "owner")


@dataclass(frozen=True, kw_only=True)
class Membership:
    team_id: str
    name: str
    slug: str
    role: str | None = None
    """None for an API key: its permissions decide instead."""


class KeyRow(NamedTuple):
    """An API key and its team, as find_api_key.sql returns them."""

    id: UUID
    key_type: str
    permissions: list[str]
    expired: bool
    team_id: UUID
    team_name: str
    team_slug: str


class MemberRow(NamedTuple):
    """A user and one of their teams, as find_user.sql returns them; without a team if they have none."""

    email: str
    team_id: UUID | None
    team_name: str
    team_slug: str
    role: str


class SessionRow(NamedTuple):
    """A session with its user and one of their teams, as find_session.sql returns them."""

    session_id: UUID
    user_id: UUID
    is_stale: bool
    email: str
    team_id: UUID | None
    team_name: str
    team_slug: str
    role: str


@dataclass(frozen=True, kw_only=True)
class Principal:
    kind: Literal["user", "api_key"]
    id: str
    teams: Mapping[str, Membership]
    email: str | None = None
    permissions: tuple[str, ...] = ()
    key_type: str | None = None
    session_id: str | None = None
    """The session of a user who signed in with a code or a link."""

    @property
    def triggered_by(self) -> str:
        return f"manual:{self.kind}:{self.id}"

    def require(self, team_id: str, permission: str) -> None:
        """Raise Forbidden unless the principal has this permission in this team."""
        if self.kind == "api_key" and permission not in self.permissions:
            raise Forbidden(f"Missing permission: {permission}")
        membership = self.teams.get(team_id)
        if membership is None:
            raise Forbidden("Not a member of this team")
        if self.kind == "user" and membership.role not in MANAGING_ROLES:
            raise Forbidden

    def managed_teams(self, permission: str) -> list[str]:
        """Return the teams in which ``require`` would pass. Raise Forbidden if a key lacks the permission."""
        if self.kind == "api_key" and permission not in self.permissions:
            raise Forbidden(f"Missing permission: {permission}")
        return [t for t, m in self.teams.items() if self.kind == "api_key" or m.role in MANAGING_ROLES]


def authenticate(
    authorization: str | None, *, cookie: str | None = None, db: Database, settings: Settings
) -> Principal:
    """Return the caller. Raise Unauthorized with the sentences of the HTTP contract.

    This takes one statement, and a second one if tokens identify people by e-mail address, or if a session was last
    used some minutes ago. ``cookie`` is a session's token; a request with an Authorization header ignores it.
    """
    if authorization is None and cookie is not None:
        return _session(cookie, is_cookie=True, db=db)
    if not authorization:
        raise Unauthorized("Missing authorization")
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or " " in token:
        raise Unauthorized("Invalid authorization format")
    if token.startswith(API_KEY_PREFIX):
        return _api_key(token, db=db)
    if token.startswith(SESSION_PREFIX):
        return _session(token, is_cookie=False, db=db)
    return _user(token, db=db, settings=settings)


def key_hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def _api_key(token: str, *, db: Database) -> Principal:
    key = db.one_as(KeyRow, "find_api_key", key_hash=key_hash(token), again_if_gone=True)
    if key is None:
        raise Unauthorized("Invalid API key")
    if key.expired:
        raise Unauthorized("API key expired")
    team_id = str(key.team_id)
    return Principal(
        kind="api_key",
        id=str(key.id),
        key_type=key.key_type,
        permissions=tuple(key.permissions),
        teams={team_id: Membership(team_id=team_id, name=key.team_name, slug=key.team_slug)},
    )


def _session(token: str, *, is_cookie: bool, db: Database) -> Principal:
    """Return the session's user. A cookie's token is no bearer token, and the other way round."""
    rows = db.query_as(SessionRow, "find_session", token_hash=key_hash(token), is_cookie=is_cookie, again_if_gone=True)
    if not rows:
        raise Unauthorized("The session has ended. Sign in again.")
    session_id = str(rows[0].session_id)
    if rows[0].is_stale:
        try:
            db.query("touch_session", session_id=session_id)
        except NightshiftError as exc:  # a busy or read-only database can still be read
            logger.warning(f"The last use of a session was not written: {exc}", action="session_not_touched")
    return _person(str(rows[0].user_id), rows, session_id=session_id)


def _user(token: str, *, db: Database, settings: Settings) -> Principal:
    subject = tokens.verify(token, settings=settings)
    user_id = subject.user_id or _id_of(str(subject.email), db=db)
    rows = db.query_as(MemberRow, "find_user", user_id=user_id, again_if_gone=True)
    if not rows:
        raise Unauthorized
    return _person(user_id, rows)


def _person(user_id: str, rows: Sequence[MemberRow | SessionRow], *, session_id: str | None = None) -> Principal:
    return Principal(
        kind="user",
        id=user_id,
        email=rows[0].email,
        session_id=session_id,
        teams={
            str(row.team_id): Membership(
                team_id=str(row.team_id), name=row.team_name, slug=row.team_slug, role=row.role
            )
            for row in rows
            if row.team_id
        },
    )


def _id_of(email: str, *, db: Database) -> str:
    """Return the user's id. Raise Unauthorized also if two people have this address: the caller could be either."""
    found = db.query("find_users_by_email", email=email, again_if_gone=True)
    if len(found) != 1:
        raise Unauthorized
    return str(found[0]["id"])
