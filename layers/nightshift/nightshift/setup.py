"""The first things a team needs: made by the owner of the server, who connects as the owner of the tables."""

import re
import secrets
import uuid
from dataclasses import dataclass, field

from nightshift.auth import AGENT_PERMISSIONS, API_KEY_PREFIX, key_hash
from nightshift.database import Database
from nightshift.errors import NightshiftError
from nightshift.integrations import encrypt_secret

# Of a key, what is kept to recognise it by.
PREFIX_LENGTH = len(API_KEY_PREFIX) + 4


class SetupRefused(NightshiftError):
    """The team cannot be set up like this"""


@dataclass(frozen=True, kw_only=True)
class TeamSetup:
    """What was made. ``agent_key`` can never be shown again: the database keeps its hash."""

    team_id: str
    team_slug: str
    admin_id: str
    project_id: str
    project_slug: str
    agent_key: str = field(repr=False)


def setup_team(
    db: Database,
    *,
    team_name: str,
    admin_email: str,
    project_name: str,
    revenuecat_key: str | None = None,
    revenuecat_project_id: str | None = None,
) -> TeamSetup:
    """A team, its owner, an agent key and a project; all of it or nothing.

    A user with this email is made the owner if there is one. ``revenuecat_project_id`` may be left out where the key
    sees one project. Raises SetupRefused for a field that will not do and for a team that is there already.
    """
    email = admin_email.strip()
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise SetupRefused(f"admin_email must be an address like ada@example.com, got {admin_email!r}")
    team_slug, project_slug = slug_of("team_name", team_name), slug_of("project_name", project_name)
    project_id = str(uuid.uuid4())
    # KMS is asked before the transaction begins: nobody waits for the outside with locks in hand.
    secret = encrypt_secret(revenuecat_key, project_id=project_id) if revenuecat_key is not None else None
    with db.transaction():
        team = db.one("insert_team", name=team_name.strip(), slug=team_slug)
        if team is None:
            raise SetupRefused(f'There is a team "{team_slug}" already. Choose another name.')
        team_id, admin_id = str(team["id"]), str(db.query("find_or_insert_user", email=email)[0]["id"])
        db.query("insert_team_member", team_id=team_id, user_id=admin_id, role="owner")
        db.query("insert_project", id=project_id, team_id=team_id, name=project_name.strip(), slug=project_slug)
        if secret is not None:
            _store(db, project_id=project_id, secret=secret, revenuecat_project_id=revenuecat_project_id)
        return TeamSetup(
            team_id=team_id,
            team_slug=team_slug,
            admin_id=admin_id,
            project_id=project_id,
            project_slug=project_slug,
            agent_key=new_agent_key(db, team_id=team_id, created_by=admin_id),
        )


def find_project(db: Database, *, team_slug: str, project_slug: str) -> str:
    """The project's id. Raises SetupRefused where there is none by these slugs."""
    row = db.one("find_project", team_slug=team_slug, project_slug=project_slug)
    if row is None:
        raise SetupRefused(f'There is no project "{project_slug}" in a team "{team_slug}"')
    return str(row["id"])


def replace_agent_key(db: Database, *, team_slug: str, ends: str | None = None) -> str:
    """Another agent key of the team; the one that begins with ``ends`` is over with the same commit.

    ``ends`` is a key's first characters, as ``key_prefix`` keeps them; a whole key will do. Raises SetupRefused where
    there is no such team with an owner, or not exactly one such key.
    """
    with db.transaction():
        team = db.one("find_team_owner", team_slug=team_slug)
        if team is None:
            raise SetupRefused(f'There is no team "{team_slug}" with an owner')
        team_id = str(team["team_id"])
        if ends is not None:
            prefix = ends[:PREFIX_LENGTH]
            ended = db.query("end_agent_key", team_id=team_id, key_prefix=prefix)
            if len(ended) != 1:
                raise SetupRefused(f'The team "{team_slug}" has {len(ended)} agent keys that begin with "{prefix}"')
        return new_agent_key(db, team_id=team_id, created_by=str(team["user_id"]))


def new_agent_key(db: Database, *, team_id: str, created_by: str) -> str:
    """A key with an agent's permissions, shown this once."""
    key = API_KEY_PREFIX + secrets.token_urlsafe(32)
    db.query(
        "insert_api_key",
        team_id=team_id,
        created_by=created_by,
        key_hash=key_hash(key),
        key_prefix=key[:PREFIX_LENGTH],
        permissions=list(AGENT_PERMISSIONS),
    )
    return key


def store_revenuecat_key(db: Database, *, project_id: str, key: str, revenuecat_project_id: str | None = None) -> None:
    """Store the project's key in the place of the one that may be there."""
    secret = encrypt_secret(key, project_id=project_id)
    _store(db, project_id=project_id, secret=secret, revenuecat_project_id=revenuecat_project_id)


def slug_of(field_name: str, name: str) -> str:
    """``Acme Games`` → ``acme-games``. Raises SetupRefused where nothing would be left."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not slug:
        raise SetupRefused(f"{field_name} must hold a letter or a digit, got {name!r}")
    return slug


def _store(db: Database, *, project_id: str, secret: bytes, revenuecat_project_id: str | None) -> None:
    config = {"project_id": revenuecat_project_id} if revenuecat_project_id else {}
    db.query("store_integration", project_id=project_id, provider="revenuecat", config=config, secret_encrypted=secret)
