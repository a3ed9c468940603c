"""Teams, their projects and people: made by the owner of the server, who connects as the owner of the tables."""

import uuid
from dataclasses import dataclass, field

from nightshift import wording
from nightshift.addresses import without_name
from nightshift.agent_keys import find_team, new_agent_key
from nightshift.database import Database
from nightshift.errors import SetupRefused
from nightshift.integrations import encrypt_secret
from nightshift.slugs import checked_slug, slug_of
from nightshift.validation import is_mail_address


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
    team_slug: str | None = None,
    project_slug: str | None = None,
    revenuecat_key: str | None = None,
    revenuecat_project_id: str | None = None,
) -> TeamSetup:
    """A team, its owner, an agent key and a project; all of it or nothing.

    A user with this email is made the owner if there is one. Slugs that are not given are made of the names.
    ``revenuecat_project_id`` may be left out where the key sees one project.
    Raises SetupRefused for a field that will not do and for a team that is there already.
    """
    email = _address("admin_email", admin_email)
    team_name, team_slug = _named("team_name", team_name, slug=team_slug, kind="team")
    project_name, project_slug = _named("project_name", project_name, slug=project_slug, kind="project")
    project_id = str(uuid.uuid4())
    # KMS is asked before the transaction begins: nobody waits for the outside with locks in hand.
    secret = encrypt_secret(revenuecat_key, project_id=project_id) if revenuecat_key is not None else None
    with db.transaction():
        team = db.one("insert_team", name=team_name, slug=team_slug)
        if team is None:
            raise SetupRefused(f'There is a team "{team_slug}" already. Choose another name or slug.')
        team_id, admin_id = str(team["id"]), str(db.query("find_or_insert_user", email=email)[0]["id"])
        db.query("set_team_role", team_id=team_id, user_id=admin_id, role="owner")
        db.query("insert_project", id=project_id, team_id=team_id, name=project_name, slug=project_slug)
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


def add_project(
    db: Database,
    *,
    team_slug: str,
    project_name: str,
    project_slug: str | None = None,
    revenuecat_key: str | None = None,
    revenuecat_project_id: str | None = None,
) -> dict[str, str]:
    """``{"project_id", "project_slug"}``. Raises SetupRefused where there is no such team, or one like it."""
    project_id = str(uuid.uuid4())
    project_name, project_slug = _named("project", project_name, slug=project_slug, kind="project")
    secret = encrypt_secret(revenuecat_key, project_id=project_id) if revenuecat_key is not None else None
    with db.transaction():
        team_id = find_team(db, team_slug=team_slug)
        if db.one("find_project", team_slug=team_slug, project_slug=project_slug):
            raise SetupRefused(
                f'There is a project "{project_slug}" in the team "{team_slug}" already. Choose another name or slug.'
            )
        db.query("insert_project", id=project_id, team_id=team_id, name=project_name, slug=project_slug)
        if secret is not None:
            _store(db, project_id=project_id, secret=secret, revenuecat_project_id=revenuecat_project_id)
    return {"project_id": project_id, "project_slug": project_slug}


def set_member(db: Database, *, team_slug: str, email: str, role: str | None) -> str | None:
    """Give a person this role in the team, or with None take them out of it; returns their id, None where nobody was.

    A user with this email is made where there is none. Raises SetupRefused where there is no such team, and where
    nobody would be left to own it.
    """
    address = _address("email", email)
    with db.transaction():
        team_id = find_team(db, team_slug=team_slug)
        if role is None:
            person = db.one("delete_team_member", team_id=team_id, email=address)
        else:
            person = db.query("find_or_insert_user", email=address)[0]
            db.query("set_team_role", team_id=team_id, user_id=str(person["id"]), role=role)
        if db.one("find_team_owner", team_id=team_id) is None:
            raise SetupRefused(f'The team "{team_slug}" would be left without an owner. Make somebody one first.')
    return str(person["id"]) if person else None


def find_project(db: Database, *, team_slug: str, project_slug: str) -> str:
    """The project's id. Raises SetupRefused where there is none by these slugs."""
    row = db.one("find_project", team_slug=team_slug, project_slug=project_slug)
    if row is None:
        raise SetupRefused(f'There is no project "{project_slug}" in a team "{team_slug}"')
    return str(row["id"])


def store_revenuecat_key(db: Database, *, project_id: str, key: str, revenuecat_project_id: str | None = None) -> None:
    """Store the project's key in the place of the one that may be there."""
    secret = encrypt_secret(key, project_id=project_id)
    _store(db, project_id=project_id, secret=secret, revenuecat_project_id=revenuecat_project_id)


def _address(field_name: str, text: str) -> str:
    if not is_mail_address(text):
        raise SetupRefused(f"{field_name} must be an address like ada@example.com, got {text!r}")
    return without_name(text)


def _named(field: str, name: str, *, slug: str | None, kind: str) -> tuple[str, str]:
    """The name as it is shown, and its slug: the one that was asked for, or one made of the name."""
    made = slug_of(field, name, kind=kind)
    return wording.one_line(name, longest=len(name)), made if slug is None else checked_slug(f"{kind}_slug", slug)


def _store(db: Database, *, project_id: str, secret: bytes, revenuecat_project_id: str | None) -> None:
    config = {"project_id": revenuecat_project_id} if revenuecat_project_id else {}
    db.query("store_integration", project_id=project_id, provider="revenuecat", config=config, secret_encrypted=secret)
