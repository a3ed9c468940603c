"""Projects and their apps, as the API shows them."""

import re
from collections.abc import Sequence
from typing import Any

from nightshift.base.errors import NotFound, Refused
from nightshift.base.paging import fitting
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database, Row

# Maximum number of apps in the answer about a project.
MAX_APPS = 1000
# Default retention in days, for platforms whose table of projects has no such columns.
RETENTION_DAYS = {"events": 120, "metrics": 365, "funnels": 365}


def list_page(
    team_ids: Sequence[str], *, q: str | None, after: str | None, limit: int, db: Database
) -> tuple[list[dict[str, Any]], str]:
    """Return a page of projects, sorted by name, whose name or slug contains ``q``, and the next page's cursor, or "".

    ``after`` is a cursor: the id of a page's last project. Raise Refused if that project does not exist.
    """
    teams = list(team_ids)
    last = db.one("project_name", project_id=after, team_ids=teams) if after else None
    if after and last is None:
        raise Refused(f'cursor must be one that a list returned, got "{after}"')
    rows = db.query(
        "list_projects", team_ids=teams, q=q, after_name=last and last["name"], after_id=after, limit=limit + 1
    )
    listed = [_project_as_json(row) for row in rows]
    page = listed[: fitting(listed[:limit])]
    return page, page[-1]["id"] if len(listed) > len(page) else ""


def find_projects(
    project_ids: Sequence[str], team_ids: Sequence[str], *, db: Database
) -> tuple[list[dict[str, Any]], bool]:
    """Return those of these projects that belong to the teams, and whether some did not fit into the answer."""
    rows = db.query("projects_by_id", project_ids=list(project_ids), team_ids=list(team_ids))
    found = [_project_as_json(row) for row in rows]
    fits = fitting(found)
    return found[:fits], fits < len(found)


def get_project(project_id: str, *, db: Database) -> dict[str, Any]:
    """Return the project. Raise NotFound if it does not exist."""
    row = db.one("get_project", project_id=project_id)
    if row is None:
        raise NotFound("Project not found")
    return _project_as_json(row)


def require_project(project_id: str, *, team_id: str, db: Database) -> None:
    """Raise NotFound unless this is a project of the team."""
    row = db.one("get_project", project_id=project_id)
    if row is None or str(row["team_id"]) != team_id:
        raise NotFound("Project not found")


def with_apps(project: dict[str, Any], *, db: Database) -> dict[str, Any]:
    """Return the project with its ``apps``, and with ``has_more`` if they do not all fit into one answer."""
    listed = [_as_json(row) for row in db.query("list_apps", project_id=project["id"], limit=MAX_APPS + 1)]
    apps = listed[: fitting(listed[:MAX_APPS])]
    return project | {"apps": apps} | ({"has_more": True} if len(listed) > len(apps) else {})


def _project_as_json(row: Row) -> dict[str, Any]:
    project = _as_json(row)
    return project | {
        f"effective_retention_days_{kind}": days_of(project.pop(f"retention_days_{kind}")) or days
        for kind, days in RETENTION_DAYS.items()
    }


def days_of(text: str | None) -> int | None:
    """Return the days in the platform's column of retention, of any type, or None without a column or a valid number.

    A valid number is whole and positive: the API shows the default for any other, and the retention cleanup uses it.
    """
    found = re.fullmatch(r"([0-9]{1,9})(\.0*)?", text or "", re.ASCII)
    return (int(found[1]) or None) if found else None


def _as_json(row: Row) -> dict[str, Any]:
    ids = {name: str(row[name]) for name in ("id", "team_id", "project_id") if name in row}
    return dict(row) | ids | {"created_at": timestamp(row["created_at"])}
