"""A team's agent keys: made, listed and ended by the owner of the server. The database keeps a hash of each."""

import secrets
from collections.abc import Sequence

from nightshift.auth import AGENT_PERMISSIONS, API_KEY_PREFIX, READ_ONLY_PERMISSIONS, key_hash
from nightshift.database import Database, Row
from nightshift.errors import SetupRefused

# Of a key, what is kept to recognise it by.
PREFIX_LENGTH = len(API_KEY_PREFIX) + 4
UNNAMED = "Agent key"


def make_key(
    db: Database,
    *,
    team_slug: str,
    ends: str | None = None,
    name: str | None = None,
    read_only: bool = False,
    days: int | None = None,
) -> str:
    """Another agent key of the team; the one that begins with ``ends`` is over with the same commit.

    ``ends`` is a key's first characters, as ``key_prefix`` keeps them; a whole key will do. What is not said of the new
    key is as it was with that one. After ``days`` it opens nothing any more. Raises SetupRefused where there is no such
    team, where nobody owns it, and where there is not exactly one such key.
    """
    with db.transaction():
        team_id = find_team(db, team_slug=team_slug)
        owner = db.one("find_team_owner", team_id=team_id)
        if owner is None:
            raise SetupRefused(f'The team "{team_slug}" has no owner, for whom its keys could act')
        old = _end(db, team_id=team_id, team_slug=team_slug, prefix=ends) if ends is not None else {}
        return new_agent_key(
            db,
            team_id=team_id,
            created_by=str(owner["user_id"]),
            name=name or old.get("name") or UNNAMED,
            permissions=READ_ONLY_PERMISSIONS if read_only else old.get("permissions", AGENT_PERMISSIONS),
            days=old.get("days") if days is None else days,
        )


def end_key(db: Database, *, team_slug: str, prefix: str) -> None:
    """It opens nothing any more. Raises SetupRefused where there is no such team, or not exactly one such key."""
    with db.transaction():
        _end(db, team_id=find_team(db, team_slug=team_slug), team_slug=team_slug, prefix=prefix)


def live_keys(db: Database, *, team_slug: str, search: str | None = None, limit: int = 1000) -> list[Row]:
    """``key_prefix``, ``name``, ``permissions``, ``acts_for``, ``created_at``, ``expires_at``, the oldest first.

    Those that hold ``search`` in prefix or name, and ``limit`` of them at most.
    """
    team_id = find_team(db, team_slug=team_slug)
    return db.query("list_live_agent_keys", team_id=team_id, q=search, limit=limit)


def find_team(db: Database, *, team_slug: str) -> str:
    """The team's id; whoever asks for it in a transaction has it to themselves. Raises SetupRefused where none is."""
    team = db.one("lock_team", team_slug=team_slug)
    if team is None:
        raise SetupRefused(f'There is no team "{team_slug}". Which there are: nightshift system teams')
    return str(team["id"])


def new_agent_key(
    db: Database,
    *,
    team_id: str,
    created_by: str,
    name: str = UNNAMED,
    permissions: Sequence[str] = AGENT_PERMISSIONS,
    days: int | None = None,
) -> str:
    """A key, shown this once."""
    key = API_KEY_PREFIX + secrets.token_urlsafe(32)
    db.query(
        "insert_api_key",
        team_id=team_id,
        created_by=created_by,
        name=name,
        key_hash=key_hash(key),
        key_prefix=key[:PREFIX_LENGTH],
        permissions=list(permissions),
        days=days,
    )
    return key


def _end(db: Database, *, team_id: str, team_slug: str, prefix: str) -> Row:
    """What the key was: ``name``, ``permissions``, ``days``."""
    prefix = prefix[:PREFIX_LENGTH]
    ended = db.query("end_agent_key", team_id=team_id, key_prefix=prefix)
    if not ended:
        raise SetupRefused(
            f'The team "{team_slug}" has no agent key that begins with "{prefix}". '
            f"Which it has: nightshift system keys {team_slug}"
        )
    if len(ended) > 1:
        raise SetupRefused(f'The team "{team_slug}" has {len(ended)} agent keys that begin with "{prefix}"')
    return ended[0]
