"""Setup of teams, their projects and members by the operator. Its rights are those of nightshift_setup."""

import uuid
from dataclasses import dataclass, field

from nightshift.base import wording
from nightshift.base.addresses import without_name
from nightshift.base.errors import SetupRefused
from nightshift.base.validation import is_mail_address
from nightshift.database.queries import Database
from nightshift.tenants import audit
from nightshift.tenants.agent_keys import find_team, new_agent_key
from nightshift.tenants.audit import Author
from nightshift.tenants.integrations import encrypt_secret
from nightshift.tenants.slugs import checked_slug, slug_of


@dataclass(frozen=True, kw_only=True)
class TeamSetup:
    """A created team. ``agent_key`` cannot be shown again: the database stores only its hash."""

    team_id: str
    team_slug: str
    admin_id: str
    project_id: str
    project_slug: str
    agent_key: str = field(repr=False)


def setup_team(
    db: Database,
    *,
    author: Author,
    team_name: str,
    admin_email: str,
    project_name: str,
    team_slug: str | None = None,
    project_slug: str | None = None,
    revenuecat_key: str | None = None,
    revenuecat_project_id: str | None = None,
) -> TeamSetup:
    """Create a team, its owner, an agent key and a project, in one transaction.

    An existing user with this email becomes the owner. Slugs that are not given are derived from the names.
    ``revenuecat_project_id`` is optional if the key sees only one project.
    Raise SetupRefused for an invalid field, and if the team already exists.
    """
    email = _address("admin_email", admin_email)
    team_name, team_slug = _named("team_name", team_name, slug=team_slug, kind="team")
    project_name, project_slug = _named("project_name", project_name, slug=project_slug, kind="project")
    project_id = str(uuid.uuid4())
    # KMS is called before the transaction begins, so that no locks are held while waiting for it.
    secret = encrypt_secret(revenuecat_key, project_id=project_id) if revenuecat_key is not None else None
    with db.transaction():
        team = db.one("insert_team", name=team_name, slug=team_slug)
        if team is None:
            raise SetupRefused(f'A team "{team_slug}" already exists. Choose another name or slug.')
        team_id, admin_id = str(team["id"]), str(db.query("find_or_insert_user", email=email)[0]["id"])
        audit.record(db, author, "team.created", of=("team", team_id), team_id=team_id, name=team_name, slug=team_slug)
        _set_role(db, author=author, team_id=team_id, user_id=admin_id, role="owner")
        _insert_project(
            db,
            author=author,
            project_id=project_id,
            team_id=team_id,
            name=project_name,
            slug=project_slug,
            secret=secret,
            revenuecat_project_id=revenuecat_project_id,
        )
        return TeamSetup(
            team_id=team_id,
            team_slug=team_slug,
            admin_id=admin_id,
            project_id=project_id,
            project_slug=project_slug,
            agent_key=new_agent_key(db, author=author, team_id=team_id, created_by=admin_id).key,
        )


def add_project(
    db: Database,
    *,
    author: Author,
    team_slug: str,
    project_name: str,
    project_slug: str | None = None,
    revenuecat_key: str | None = None,
    revenuecat_project_id: str | None = None,
) -> dict[str, str]:
    """Create a project and return ``{"project_id", "project_slug"}``.

    Raise SetupRefused if the team does not exist, or if it already has a project with this slug.
    """
    project_id = str(uuid.uuid4())
    project_name, project_slug = _named("project", project_name, slug=project_slug, kind="project")
    secret = encrypt_secret(revenuecat_key, project_id=project_id) if revenuecat_key is not None else None
    with db.transaction():
        team_id = find_team(db, team_slug=team_slug)
        if db.one("find_project", team_slug=team_slug, project_slug=project_slug):
            raise SetupRefused(
                f'The team "{team_slug}" already has a project "{project_slug}". Choose another name or slug.'
            )
        _insert_project(
            db,
            author=author,
            project_id=project_id,
            team_id=team_id,
            name=project_name,
            slug=project_slug,
            secret=secret,
            revenuecat_project_id=revenuecat_project_id,
        )
    return {"project_id": project_id, "project_slug": project_slug}


def set_member(db: Database, *, author: Author, team_slug: str, email: str, role: str | None) -> str | None:
    """Give a person this role in the team, or remove them with None. Return their id; None if they were not a member.

    A new email creates a user. Raise SetupRefused if the team does not exist, or would be left without an owner.
    """
    address = _address("email", email)
    with db.transaction():
        team_id = find_team(db, team_slug=team_slug)
        if role is None:
            person = db.one("delete_team_member", team_id=team_id, email=address)
            if person:
                audit.record(db, author, "member.removed", of=("user", person["id"]), team_id=team_id)
        else:
            person = db.query("find_or_insert_user", email=address)[0]
            _set_role(db, author=author, team_id=team_id, user_id=str(person["id"]), role=role)
        if db.one("find_team_owner", team_id=team_id) is None:
            raise SetupRefused(f'The team "{team_slug}" would be left without an owner. Add another owner first.')
    return str(person["id"]) if person else None


def find_project(db: Database, *, team_slug: str, project_slug: str) -> tuple[str, str]:
    """Return the ids of the team and of the project. Raise SetupRefused if no project has these slugs."""
    row = db.one("find_project", team_slug=team_slug, project_slug=project_slug)
    if row is None:
        raise SetupRefused(f'Unknown project "{project_slug}" in the team "{team_slug}"')
    return str(row["team_id"]), str(row["id"])


def store_revenuecat_key(
    db: Database, *, author: Author, team_id: str, project_id: str, key: str, revenuecat_project_id: str | None = None
) -> None:
    """Store the project's key, replacing an existing one."""
    secret = encrypt_secret(key, project_id=project_id)
    with db.transaction():
        _store(
            db,
            author=author,
            team_id=team_id,
            project_id=project_id,
            secret=secret,
            revenuecat_project_id=revenuecat_project_id,
        )


def _address(field_name: str, text: str) -> str:
    if not is_mail_address(text):
        raise SetupRefused(f"{field_name} must be an address like ada@example.com, got {text!r}")
    return without_name(text)


def _named(field: str, name: str, *, slug: str | None, kind: str) -> tuple[str, str]:
    """Return the name as it is displayed, and its slug: the given one, or one derived from the name."""
    made = slug_of(field, name, kind=kind)
    return wording.one_line(name, longest=len(name)), made if slug is None else checked_slug(f"{kind}_slug", slug)


def _set_role(db: Database, *, author: Author, team_id: str, user_id: str, role: str) -> None:
    db.query("set_team_role", team_id=team_id, user_id=user_id, role=role)
    audit.record(db, author, "member.set", of=("user", user_id), team_id=team_id, role=role)


def _insert_project(
    db: Database,
    *,
    author: Author,
    team_id: str,
    project_id: str,
    name: str,
    slug: str,
    secret: bytes | None,
    revenuecat_project_id: str | None,
) -> None:
    """Insert the project, and its integration if there is a secret."""
    db.query("insert_project", id=project_id, team_id=team_id, name=name, slug=slug)
    audit.record(db, author, "project.created", of=("project", project_id), team_id=team_id, name=name, slug=slug)
    if secret is not None:
        _store(
            db,
            author=author,
            team_id=team_id,
            project_id=project_id,
            secret=secret,
            revenuecat_project_id=revenuecat_project_id,
        )


def _store(
    db: Database,
    *,
    author: Author,
    team_id: str,
    project_id: str,
    secret: bytes,
    revenuecat_project_id: str | None,
) -> None:
    config = {"project_id": revenuecat_project_id} if revenuecat_project_id else {}
    db.query("store_integration", project_id=project_id, provider="revenuecat", config=config, secret_encrypted=secret)
    audit.record(
        db,
        author,
        "integration.stored",
        of=("project", project_id),
        team_id=team_id,
        provider="revenuecat",
        config=config,
    )
