"""Agent keys, as the operator creates, lists and ends them. The database stores only a hash of each."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from nightshift.base.errors import SetupRefused
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database, Row
from nightshift.tenants import audit
from nightshift.tenants.audit import Author
from nightshift.tenants.auth import key_hash
from nightshift.tenants.key_terms import AGENT_PERMISSIONS, API_KEY_PREFIX, PREFIX_LENGTH, READ_ONLY_PERMISSIONS

UNNAMED = "Agent key"


@dataclass(frozen=True)
class NewKey:
    id: str
    key: str = field(repr=False)
    """The key itself, which nothing stores. A log that shows this object must not show it."""


def make_key(
    db: Database,
    *,
    author: Author,
    team_slug: str,
    ends: str | None = None,
    name: str | None = None,
    read_only: bool = False,
    allow: Sequence[str] = (),
    days: int | None = None,
) -> str:
    """Create an agent key for the team. End the key that begins with ``ends`` in the same transaction.

    ``ends`` is a key's first characters, as stored in ``key_prefix``; a whole key is accepted too. Attributes not given
    are copied from the ended key. The new key expires after ``days``, and has the permissions ``allow`` beside the
    usual ones. Raise SetupRefused if the team does not exist or has no owner, or if ``ends`` does not identify exactly
    one key.
    """
    with db.transaction():
        team_id = find_team(db, team_slug=team_slug)
        db.query("lock_keys_of_team", team_id=team_id)
        owner = db.one("find_team_owner", team_id=team_id)
        if owner is None:
            raise SetupRefused(
                f'The team "{team_slug}" has no owner for its agent keys to act for. Add one: nightshift system member'
            )
        old = _end(db, author=author, team_id=team_id, team_slug=team_slug, prefix=ends) if ends is not None else {}
        usual = READ_ONLY_PERMISSIONS if read_only else old.get("permissions", AGENT_PERMISSIONS)
        made = new_agent_key(
            db,
            author=author,
            team_id=team_id,
            created_by=str(owner["user_id"]),
            name=name or old.get("name") or UNNAMED,
            permissions=[*dict.fromkeys([*usual, *allow])],
            days=old.get("days") if days is None else days,
        )
        return made.key


def end_key(db: Database, *, author: Author, team_slug: str, prefix: str) -> None:
    """End the key. Raise SetupRefused if the team does not exist or ``prefix`` does not identify exactly one key."""
    with db.transaction():
        team_id = find_team(db, team_slug=team_slug)
        db.query("lock_keys_of_team", team_id=team_id)
        _end(db, author=author, team_id=team_id, team_slug=team_slug, prefix=prefix)


def live_keys(db: Database, *, team_slug: str, search: str | None = None, limit: int = 1000) -> list[Row]:
    """Return ``key_prefix, name, permissions, acts_for, created_at, expires_at`` of each working key, oldest first.

    Only keys whose prefix or name contains ``search``, and at most ``limit`` of them.
    """
    team_id = find_team(db, team_slug=team_slug)
    return db.query("list_live_agent_keys", team_id=team_id, q=search, limit=limit)


def find_team(db: Database, *, team_slug: str) -> str:
    """Lock the team for the current transaction and return its id. Raise SetupRefused if it does not exist."""
    team = db.one("lock_team", team_slug=team_slug)
    if team is None:
        raise SetupRefused(f'Unknown team "{team_slug}". To list the teams: nightshift system teams')
    return str(team["id"])


def new_agent_key(
    db: Database,
    *,
    author: Author,
    team_id: str,
    created_by: str | None,
    name: str = UNNAMED,
    permissions: Sequence[str] = AGENT_PERMISSIONS,
    days: int | None = None,
    until: datetime | None = None,
    **details: object,
) -> NewKey:
    """Create a key. It cannot be read again. Call this in a transaction.

    It expires after ``days``, and not later than ``until``. The audit tells of the ``details`` as well.
    """
    key = API_KEY_PREFIX + secrets.token_urlsafe(32)
    [made] = db.query(
        "insert_api_key",
        team_id=team_id,
        created_by=created_by,
        name=name,
        key_hash=key_hash(key),
        key_prefix=key[:PREFIX_LENGTH],
        permissions=list(permissions),
        days=days,
        until=until,
        made_by=author.actor,
    )
    audit.record(
        db,
        author,
        "agent_key.created",
        of=("agent_key", made["id"]),
        team_id=team_id,
        name=name,
        key_prefix=key[:PREFIX_LENGTH],
        permissions=list(permissions),
        expires_at=timestamp(made["expires_at"]),
        **details,
    )
    return NewKey(made["id"], key)


def _end(db: Database, *, author: Author, team_id: str, team_slug: str, prefix: str) -> Row:
    """End the key and return its ``name``, ``permissions`` and ``days``."""
    prefix = prefix[:PREFIX_LENGTH]
    ended = db.query("end_agent_key", team_id=team_id, key_prefix=prefix)
    if not ended:
        raise SetupRefused(
            f'The team "{team_slug}" has no agent key that begins with "{prefix}". '
            f"To list its keys: nightshift system keys {team_slug}"
        )
    if len(ended) > 1:
        raise SetupRefused(f'The team "{team_slug}" has {len(ended)} agent keys that begin with "{prefix}"')
    [old] = ended
    audit.record(
        db,
        author,
        "agent_key.ended",
        of=("agent_key", old["id"]),
        team_id=team_id,
        name=old["name"],
        key_prefix=old["key_prefix"],
    )
    return old
