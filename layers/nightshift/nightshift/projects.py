"""Projects and their apps, as the API shows them."""

from collections.abc import Sequence
from typing import Any

from nightshift.database import Database, Row
from nightshift.errors import NotFound
from nightshift.wording import timestamp


def list_projects(team_ids: Sequence[str], *, db: Database) -> list[dict[str, Any]]:
    return [_as_json(row) for row in db.query("list_projects", team_ids=list(team_ids))]


def get_project(project_id: str, *, db: Database) -> dict[str, Any]:
    """Raises NotFound."""
    row = db.one("get_project", project_id=project_id)
    if row is None:
        raise NotFound("Project not found")
    return _as_json(row)


def with_apps(project: dict[str, Any], *, db: Database) -> dict[str, Any]:
    return project | {"apps": [_as_json(row) for row in db.query("list_apps", project_id=project["id"])]}


def _as_json(row: Row) -> dict[str, Any]:
    ids = {name: str(row[name]) for name in ("id", "team_id", "project_id") if name in row}
    return dict(row) | ids | {"created_at": timestamp(row["created_at"])}
