"""Authentication and authorization: API keys are found by their SHA-256, users sign in with a signed token."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

from nightshift.base.errors import Forbidden, Unauthorized
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.tenants import tokens

API_KEY_PREFIX = "owl_agent_"
AGENT_PERMISSIONS = ("jobs:read", "jobs:write")
READ_ONLY_PERMISSIONS = ("jobs:read",)
# Permissions that no key has unless it was made with them: what they allow is otherwise for a team's admins.
EXTRA_PERMISSIONS = ("audit:read", "integrations:write", "alerts:write")
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


@dataclass(frozen=True, kw_only=True)
class Principal:
    kind: Literal["user", "api_key"]
    id: str
    teams: Mapping[str, Membership]
    email: str | None = None
    permissions: tuple[str, ...] = ()
    key_type: str | None = None

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


def authenticate(authorization: str | None, *, db: Database, settings: Settings) -> Principal:
    """Return the caller. Raise Unauthorized with the sentences of the HTTP contract.

    This takes one statement, and a second one if tokens identify people by e-mail address.
    """
    if not authorization:
        raise Unauthorized("Missing authorization")
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or " " in token:
        raise Unauthorized("Invalid authorization format")
    if token.startswith(API_KEY_PREFIX):
        return _api_key(token, db=db)
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


def _user(token: str, *, db: Database, settings: Settings) -> Principal:
    subject = tokens.verify(token, settings=settings)
    user_id = subject.user_id or _id_of(str(subject.email), db=db)
    rows = db.query_as(MemberRow, "find_user", user_id=user_id, again_if_gone=True)
    if not rows:
        raise Unauthorized
    return Principal(
        kind="user",
        id=user_id,
        email=rows[0].email,
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
