"""Projects and their apps, as the API shows them."""

from collections.abc import Sequence
from typing import Any

from nightshift.database import Database, Row
from nightshift.errors import NotFound, Refused
from nightshift.pages import fitting
from nightshift.wording import timestamp

# The most apps that a project is shown with.
MAX_APPS = 1000


def list_page(
    team_ids: Sequence[str], *, q: str | None, after: str | None, limit: int, db: Database
) -> tuple[list[dict[str, Any]], str]:
    """Projects by name, those with ``q`` in name or slug, and the cursor of the next page, or "".

    ``after`` is a cursor: the id of the page's last project. Raises Refused where that project is not there.
    """
    teams = list(team_ids)
    last = db.one("project_name", project_id=after, team_ids=teams) if after else None
    if after and last is None:
        raise Refused(f'cursor must be one that a list returned, got "{after}"')
    rows = db.query(
        "list_projects", team_ids=teams, q=q, after_name=last and last["name"], after_id=after, limit=limit + 1
    )
    listed = [_as_json(row) for row in rows]
    page = listed[: fitting(listed[:limit])]
    return page, page[-1]["id"] if len(listed) > len(page) else ""


def get_project(project_id: str, *, db: Database) -> dict[str, Any]:
    """Raises NotFound."""
    row = db.one("get_project", project_id=project_id)
    if row is None:
        raise NotFound("Project not found")
    return _as_json(row)


def with_apps(project: dict[str, Any], *, db: Database) -> dict[str, Any]:
    """The project with its ``apps``, and with ``has_more`` where one answer does not hold them all."""
    listed = [_as_json(row) for row in db.query("list_apps", project_id=project["id"], limit=MAX_APPS + 1)]
    apps = listed[: fitting(listed[:MAX_APPS])]
    return project | {"apps": apps} | ({"has_more": True} if len(listed) > len(apps) else {})


def _as_json(row: Row) -> dict[str, Any]:
    ids = {name: str(row[name]) for name in ("id", "team_id", "project_id") if name in row}
    return dict(row) | ids | {"created_at": timestamp(row["created_at"])}
