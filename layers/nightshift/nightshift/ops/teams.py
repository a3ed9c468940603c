"""What only the owner of the tables may do: the setup function's commands. Keys come and go in them, and in no log."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from nightshift import agent_keys, setup
from nightshift.database import Database
from nightshift.ops.dispatch import Command
from nightshift.pages import fitting
from nightshift.sessions import pin_session
from nightshift.settings import Settings
from nightshift.wording import timestamp

# The most rows of a list, and the most projects or people that a row names.
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
    settings: Settings,
) -> dict[str, Any]:
    """``{"team_id", "team_slug", "admin_id", "project_id", "project_slug", "agent_key"}``: all made, or nothing."""
    pin_session(db)
    made = setup.setup_team(
        db,
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
    settings: Settings,
) -> dict[str, Any]:
    """``{"project_id"}``; team and project by their slugs."""
    pin_session(db)
    project_id = setup.find_project(db, team_slug=team, project_slug=project)
    setup.store_revenuecat_key(
        db, project_id=project_id, key=revenuecat_key, revenuecat_project_id=revenuecat_project_id
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
    settings: Settings,
) -> dict[str, Any]:
    """``{"project_id", "project_slug"}``: another project, by its name, of the team, by its slug."""
    pin_session(db)
    return setup.add_project(
        db,
        team_slug=team,
        project_name=project,
        project_slug=project_slug,
        revenuecat_key=revenuecat_key,
        revenuecat_project_id=revenuecat_project_id,
    )


def set_member(
    *, team: Word, email: Word, role: Literal["owner", "admin", "member", "none"], db: Database, settings: Settings
) -> dict[str, Any]:
    """``{"user_id"}``: the person has this role in the team, or with ``none`` is in it no more."""
    pin_session(db)
    return {"user_id": setup.set_member(db, team_slug=team, email=email, role=None if role == "none" else role)}


def make_agent_key(
    *,
    team: Word,
    ends: Word | None = None,
    name: Word | None = None,
    read_only: bool = False,
    days: Annotated[int, Field(ge=1, le=3650)] | None = None,
    db: Database,
    settings: Settings,
) -> dict[str, Any]:
    """``{"agent_key"}``: another one of the team (its slug), in the place of the one that begins with ``ends``."""
    pin_session(db)
    key = agent_keys.make_key(db, team_slug=team, ends=ends, name=name, read_only=read_only, days=days)
    return {"agent_key": key}


def end_agent_key(*, team: Word, prefix: Word, db: Database, settings: Settings) -> dict[str, Any]:
    """``{"ended": True}``: the agent key that begins with ``prefix`` opens nothing any more."""
    pin_session(db)
    agent_keys.end_key(db, team_slug=team, prefix=prefix)
    return {"ended": True}


def list_keys(*, team: Word, search: Word | None = None, db: Database, settings: Settings) -> dict[str, Any]:
    """``{"keys": […]}``, each as live_keys has it, with its times as text; ``has_more`` where these are not all."""
    pin_session(db)
    rows = agent_keys.live_keys(db, team_slug=team, search=search, limit=MAX_LISTED + 1)
    told = [row | {name: timestamp(row[name]) for name in ("created_at", "expires_at")} for row in rows]
    return _listed("keys", told)


def list_teams(*, search: Word | None = None, db: Database, settings: Settings) -> dict[str, Any]:
    """``{"teams": [{"slug", "name", "projects": [slug], "people": [{"email", "role"}]}]}``, by their slugs.

    Of projects and people the first few; ``projects_in_all`` and ``people_in_all`` count them. ``has_more`` where these
    are not all the teams.
    """
    rows = db.query("list_teams", again_if_gone=True, q=search, named=NAMED, limit=MAX_LISTED + 1)
    return _listed("teams", rows)


def _listed(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    kept = rows[: fitting(rows[:MAX_LISTED])]
    return {name: kept} | ({"has_more": True} if len(rows) > len(kept) else {})


COMMANDS: Mapping[str, Command] = {
    "setup": set_up,
    "teams": list_teams,
    "project": add_project,
    "member": set_member,
    "revenuecat_key": store_revenuecat_key,
    "agent_key": make_agent_key,
    "end_key": end_agent_key,
    "keys": list_keys,
}
