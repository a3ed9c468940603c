"""The lists of runs that clients read."""

from typing import Any, NamedTuple

from nightshift.base.errors import NotFound
from nightshift.base.paging import fitting
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.database.run_row import LIVE, RunRow

STATUSES = (*LIVE, "completed", "failed", "cancelled")


class Page(NamedTuple):
    runs: list[RunRow]
    cursor: str | None
    has_more: bool


def list_page(*, limit: int, db: Database, **filters: Any) -> Page:
    """Return a team's runs, newest first: up to ``limit``, or as many as fit into one response.

    ``filters`` are the parameters of sql/queries/runs/list_runs.sql. Raises NotFound for a project of another team.
    """
    runs = db.query_as(RunRow, "list_runs", limit=limit + 1, **filters)
    if not runs and filters["project_id"]:
        project = db.one("get_project", project_id=filters["project_id"])
        if project is None or str(project["team_id"]) != filters["team_id"]:
            raise NotFound("Project not found")
    page = runs[: fitting(run.as_json() for run in runs[:limit])]
    has_more = len(runs) > len(page)
    cursor = f"{timestamp(page[-1].created_at)}|{page[-1].id}" if has_more else None
    return Page(page, cursor, has_more)
