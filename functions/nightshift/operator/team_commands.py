"""The setup function's commands, which write the platform's tables. Keys pass through, but are never logged."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from nightshift.base.errors import SetupRefused
from nightshift.base.paging import fitting
from nightshift.base.settings import Settings
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.tenants import agent_keys, sign_ins, team_setup
from nightshift.tenants.audit import Author
from nightshift.tenants.sign_in_codes import LASTS_S

# Maximum number of rows in a list, and of projects or people named in a row.
MAX_LISTED, NAMED = 500, 20

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


def set_up(
    *,
    team: Word,
    admin_email: Word,
    project: Word,
    team_slug: Word | None = None,
    project_slug: Word | None = None,
    revenuecat_key: Word | None = None,
    revenuecat_project_id: Word | None = None,
    db: Database,
    author: Author,
) -> dict[str, Any]:
    """Create a team with owner, project and agent key, or nothing.

    Return ``{"team_id", "team_slug", "admin_id", "project_id", "project_slug", "agent_key"}``.
    """
    made = team_setup.setup_team(
        db,
        author=author,
        team_name=team,
        admin_email=admin_email,
        project_name=project,
        team_slug=team_slug,
        project_slug=project_slug,
        revenuecat_key=revenuecat_key,
        revenuecat_project_id=revenuecat_project_id,
    )
    return asdict(made)


def store_revenuecat_key(
    *,
    team: Word,
    project: Word,
    revenuecat_key: Word,
    revenuecat_project_id: Word | None = None,
    db: Database,
    author: Author,
) -> dict[str, Any]:
    """Store the key of a project and return ``{"project_id"}``. Team and project are slugs."""
    db.query("ping", again_if_gone=True)
    team_id, project_id = team_setup.find_project(db, team_slug=team, project_slug=project)
    team_setup.store_revenuecat_key(
        db,
        author=author,
        team_id=team_id,
        project_id=project_id,
        key=revenuecat_key,
        revenuecat_project_id=revenuecat_project_id,
    )
    return {"project_id": project_id}


def add_project(
    *,
    team: Word,
    project: Word,
    project_slug: Word | None = None,
    revenuecat_key: Word | None = None,
    revenuecat_project_id: Word | None = None,
    db: Database,
    author: Author,
) -> dict[str, Any]:
    """Create a project in the team with this slug, and return ``{"project_id", "project_slug"}``."""
    return team_setup.add_project(
        db,
        author=author,
        team_slug=team,
        project_name=project,
        project_slug=project_slug,
        revenuecat_key=revenuecat_key,
        revenuecat_project_id=revenuecat_project_id,
    )


def set_member(
    *, team: Word, email: Word, role: Literal["owner", "admin", "member", "none"], db: Database, author: Author
) -> dict[str, Any]:
    """Give a person this role in the team, or remove them with ``none``. Return ``{"user_id"}``."""
    given = None if role == "none" else role
    return {"user_id": team_setup.set_member(db, author=author, team_slug=team, email=email, role=given)}


def make_agent_key(
    *,
    team: Word,
    ends: Word | None = None,
    name: Word | None = None,
    read_only: bool = False,
    allow: tuple[Literal["audit:read", "integrations:write", "alerts:write", "keys:write"], ...] = (),
    days: Annotated[int, Field(ge=1, le=3650)] | None = None,
    db: Database,
    author: Author,
) -> dict[str, Any]:
    """Create an agent key for the team with this slug, and return ``{"agent_key"}``.

    ``ends`` is the beginning of a key that the new one replaces. ``allow`` adds permissions that keys do not have.
    """
    key = agent_keys.make_key(
        db, author=author, team_slug=team, ends=ends, name=name, read_only=read_only, allow=allow, days=days
    )
    return {"agent_key": key}


def end_agent_key(*, team: Word, prefix: Word, db: Database, author: Author) -> dict[str, Any]:
    """End the agent key that begins with ``prefix``, and return ``{"ended": True}``."""
    agent_keys.end_key(db, author=author, team_slug=team, prefix=prefix)
    return {"ended": True}


def make_sign_in_link(*, email: Word, db: Database, settings: Settings, author: Author) -> dict[str, Any]:
    """Make a link that signs the person with this address in once, and return ``{"link", "expires_in_s"}``.

    Browsers do not send what follows the # of a link, so no access log holds it.
    """
    if not settings.sign_in_codes_per_hour:
        raise SetupRefused("This stack offers no sign-in by code or link. Set SignInCodesPerHour to more than 0")
    db.query("ping", again_if_gone=True)
    secret = sign_ins.make_link(email, author=author, db=db)
    return {"link": f"{settings.dashboard_url.rstrip('/')}/#sign-in={secret}", "expires_in_s": LASTS_S}


def list_keys(*, team: Word, search: Word | None = None, db: Database) -> dict[str, Any]:
    """Return ``{"keys": […]}``, each as in live_keys with its times as text; ``has_more`` if there are more keys."""
    db.query("ping", again_if_gone=True)
    rows = agent_keys.live_keys(db, team_slug=team, search=search, limit=MAX_LISTED + 1)
    told = [row | {name: timestamp(row[name]) for name in ("created_at", "expires_at")} for row in rows]
    return _listed("keys", told)


def list_teams(*, search: Word | None = None, db: Database) -> dict[str, Any]:
    """Return ``{"teams": [{"slug", "name", "projects": [slug], "people": [{"email", "role"}]}]}``, sorted by slug.

    A team lists its first few projects and people; ``projects_in_all`` and ``people_in_all`` count all of them.
    ``has_more`` is true if there are more teams.
    """
    rows = db.query("list_teams", again_if_gone=True, q=search, named=NAMED, limit=MAX_LISTED + 1)
    return _listed("teams", rows)


def _listed(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    kept = rows[: fitting(rows[:MAX_LISTED])]
    return {name: kept} | ({"has_more": True} if len(rows) > len(kept) else {})
