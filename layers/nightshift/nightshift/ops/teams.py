"""What only the owner of the tables may do: the setup function's commands. Keys come and go in them, and in no log."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import StringConstraints

from nightshift import setup
from nightshift.database import Database
from nightshift.ops.dispatch import Command
from nightshift.settings import Settings

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


def set_up(
    *,
    team: Word,
    admin_email: Word,
    project: Word,
    revenuecat_key: Word | None = None,
    revenuecat_project_id: Word | None = None,
    db: Database,
    settings: Settings,
) -> dict[str, Any]:
    """``{"team_id", "team_slug", "admin_id", "project_id", "project_slug", "agent_key"}``: all made, or nothing."""
    db.query("ping", again_if_gone=True)
    made = setup.setup_team(
        db,
        team_name=team,
        admin_email=admin_email,
        project_name=project,
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
    db.query("ping", again_if_gone=True)
    project_id = setup.find_project(db, team_slug=team, project_slug=project)
    setup.store_revenuecat_key(
        db, project_id=project_id, key=revenuecat_key, revenuecat_project_id=revenuecat_project_id
    )
    return {"project_id": project_id}


def make_agent_key(*, team: Word, ends: Word | None = None, db: Database, settings: Settings) -> dict[str, Any]:
    """``{"agent_key"}``: another one of the team (its slug), in the place of the one that begins with ``ends``."""
    db.query("ping", again_if_gone=True)
    return {"agent_key": setup.replace_agent_key(db, team_slug=team, ends=ends)}


COMMANDS: Mapping[str, Command] = {
    "setup": set_up,
    "revenuecat_key": store_revenuecat_key,
    "agent_key": make_agent_key,
}
