"""Projects and their apps, as the API shows them."""

import re
from collections.abc import Sequence
from typing import Any

from nightshift.database import Database, Row
from nightshift.errors import NotFound
from nightshift.wording import timestamp

# Days for which a platform keeps what an app reports, where its table of projects does not say.
RETENTION_DAYS = {"events": 120, "metrics": 365, "funnels": 365}


def list_projects(team_ids: Sequence[str], *, db: Database) -> list[dict[str, Any]]:
    return [_project_as_json(row) for row in db.query("list_projects", team_ids=list(team_ids))]


def get_project(project_id: str, *, db: Database) -> dict[str, Any]:
    """Raises NotFound."""
    row = db.one("get_project", project_id=project_id)
    if row is None:
        raise NotFound("Project not found")
    return _project_as_json(row)


def with_apps(project: dict[str, Any], *, db: Database) -> dict[str, Any]:
    return project | {"apps": [_as_json(row) for row in db.query("list_apps", project_id=project["id"])]}


def _project_as_json(row: Row) -> dict[str, Any]:
    project = _as_json(row)
    return project | {
        f"effective_retention_days_{kind}": _days(project.pop(f"retention_days_{kind}"), otherwise=days)
        for kind, days in RETENTION_DAYS.items()
    }


def _days(text: str | None, *, otherwise: int) -> int:
    """The number in the platform's column, whatever its type: no column, no value and no number are all the default."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) else otherwise


def _as_json(row: Row) -> dict[str, Any]:
    ids = {name: str(row[name]) for name in ("id", "team_id", "project_id") if name in row}
    return dict(row) | ids | {"created_at": timestamp(row["created_at"])}
