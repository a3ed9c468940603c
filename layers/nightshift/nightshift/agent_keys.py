"""A team's agent keys: made, listed and ended by the owner of the server. The database keeps a hash of each."""

import secrets

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
    name: str = UNNAMED,
    read_only: bool = False,
    days: int | None = None,
) -> str:
    """Another agent key of the team; the one that begins with ``ends`` is over with the same commit.

    ``ends`` is a key's first characters, as ``key_prefix`` keeps them; a whole key will do. After ``days`` the new key
    opens nothing any more. Raises SetupRefused where there is no such team with an owner, or not exactly one such key.
    """
    with db.transaction():
        team = db.one("find_team_owner", team_slug=team_slug)
        if team is None:
            raise SetupRefused(f'There is no team "{team_slug}" with an owner')
        team_id = str(team["team_id"])
        if ends is not None:
            _end(db, team_id=team_id, team_slug=team_slug, prefix=ends)
        return new_agent_key(
            db, team_id=team_id, created_by=str(team["user_id"]), name=name, read_only=read_only, days=days
        )


def end_key(db: Database, *, team_slug: str, prefix: str) -> None:
    """It opens nothing any more. Raises SetupRefused where there is no such team, or not exactly one such key."""
    with db.transaction():
        _end(db, team_id=find_team(db, team_slug=team_slug), team_slug=team_slug, prefix=prefix)


def live_keys(db: Database, *, team_slug: str) -> list[Row]:
    """``key_prefix``, ``name``, ``permissions``, ``acts_for``, ``created_at``, ``expires_at``, the oldest first."""
    return db.query("list_live_agent_keys", team_id=find_team(db, team_slug=team_slug))


def find_team(db: Database, *, team_slug: str) -> str:
    """The team's id; whoever asks for it in a transaction has it to themselves. Raises SetupRefused where none is."""
    team = db.one("lock_team", team_slug=team_slug)
    if team is None:
        raise SetupRefused(f'There is no team "{team_slug}"')
    return str(team["id"])


def new_agent_key(
    db: Database,
    *,
    team_id: str,
    created_by: str,
    name: str = UNNAMED,
    read_only: bool = False,
    days: int | None = None,
) -> str:
    """A key with an agent's permissions, shown this once."""
    key = API_KEY_PREFIX + secrets.token_urlsafe(32)
    db.query(
        "insert_api_key",
        team_id=team_id,
        created_by=created_by,
        name=name,
        key_hash=key_hash(key),
        key_prefix=key[:PREFIX_LENGTH],
        permissions=list(READ_ONLY_PERMISSIONS if read_only else AGENT_PERMISSIONS),
        days=days,
    )
    return key


def _end(db: Database, *, team_id: str, team_slug: str, prefix: str) -> None:
    prefix = prefix[:PREFIX_LENGTH]
    ended = db.query("end_agent_key", team_id=team_id, key_prefix=prefix)
    if len(ended) != 1:
        raise SetupRefused(f'The team "{team_slug}" has {len(ended)} agent keys that begin with "{prefix}"')
