"""Who is calling, and what may they do: API keys by their SHA-256, users by a signed token."""

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from nightshift.database import Database
from nightshift.errors import Forbidden, NightshiftError, Unauthorized, Unavailable
from nightshift.settings import Settings

API_KEY_PREFIX = "owl_agent_"
AGENT_PERMISSIONS = ("jobs:read", "jobs:write")
READ_ONLY_PERMISSIONS = ("jobs:read",)
MANAGING_ROLES = ("admin", "owner")

# A rotated JWT secret is picked up within this time (seconds).
SECRET_TTL_S = 300


@dataclass(frozen=True, kw_only=True)
class Membership:
    team_id: str
    name: str
    slug: str
    role: str | None = None
    """None for an API key: its permissions decide."""


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
        """Raises Forbidden unless the principal may do this in this team."""
        if self.kind == "api_key" and permission not in self.permissions:
            raise Forbidden(f"Missing permission: {permission}")
        membership = self.teams.get(team_id)
        if membership is None:
            raise Forbidden("Not a member of this team")
        if self.kind == "user" and membership.role not in MANAGING_ROLES:
            raise Forbidden

    def managed_teams(self, permission: str) -> list[str]:
        """The teams in which ``require`` would pass. Raises Forbidden when a key lacks the permission."""
        if self.kind == "api_key" and permission not in self.permissions:
            raise Forbidden(f"Missing permission: {permission}")
        return [t for t, m in self.teams.items() if self.kind == "api_key" or m.role in MANAGING_ROLES]


def authenticate(authorization: str | None, *, db: Database, settings: Settings) -> Principal:
    """One statement. Raises Unauthorized with the contract's sentences."""
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
    row = db.one("find_api_key", key_hash=key_hash(token), again_if_gone=True)
    if row is None:
        raise Unauthorized("Invalid API key")
    if row["expired"]:
        raise Unauthorized("API key expired")
    team_id = str(row["team_id"])
    return Principal(
        kind="api_key",
        id=str(row["id"]),
        key_type=row["key_type"],
        permissions=tuple(row["permissions"]),
        teams={team_id: Membership(team_id=team_id, name=row["team_name"], slug=row["team_slug"])},
    )


def _user(token: str, *, db: Database, settings: Settings) -> Principal:
    user_id = _subject(token, settings)
    rows = db.query("find_user", user_id=user_id, again_if_gone=True)
    if not rows:
        raise Unauthorized
    return Principal(
        kind="user",
        id=user_id,
        email=rows[0]["email"],
        teams={
            str(row["team_id"]): Membership(
                team_id=str(row["team_id"]), name=row["team_name"], slug=row["team_slug"], role=row["role"]
            )
            for row in rows
            if row["team_id"]
        },
    )


def _subject(token: str, settings: Settings) -> str:
    """The user id in a token that is signed, not expired and well-formed. Raises Unauthorized."""
    import jwt  # half of a cold start's budget: only for callers who bring a token

    try:
        if settings.jwks_url:
            key: Any = _jwks(settings.jwks_url).get_signing_key_from_jwt(token).key
            algorithms = ["RS256", "ES256"]
        else:
            key, algorithms = _secret(settings.jwt_secret_id, int(time.monotonic() / SECRET_TTL_S)), ["HS256"]
        # The algorithms are ours, never the token's: or a public key could be used as a shared secret.
        claims = jwt.decode(
            token,
            key,
            algorithms=algorithms,
            issuer=settings.jwt_issuer or None,
            audience=settings.jwt_audience or None,
            options={"require": ["exp", "sub"], "verify_aud": bool(settings.jwt_audience)},
        )
        return str(uuid.UUID(claims["sub"]))
    except (jwt.PyJWKClientConnectionError, jwt.PyJWKSetError, json.JSONDecodeError, OSError) as exc:
        raise Unavailable("The identity provider cannot be reached. Try again in a moment.") from exc
    except (jwt.PyJWTError, ValueError, TypeError) as exc:  # TypeError: an algorithm that does not fit its key
        raise Unauthorized from exc


@cache
def _jwks(url: str) -> Any:
    import jwt

    return jwt.PyJWKClient(url, cache_keys=True, timeout=5)


@cache
def _secret(secret_id: str, _period: int) -> str:
    from nightshift.secret import secret_text

    try:
        return secret_text(secret_id)
    except (NightshiftError, KeyError) as exc:  # KeyError: a secret that is no text
        raise Unavailable("Tokens cannot be verified at the moment. Try again, or use an API key.") from exc
