"""The lists of runs that clients read."""

from datetime import datetime
from typing import Any, NamedTuple

from nightshift.base.paging import fitting
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database
from nightshift.database.run_row import LIVE, RunRow
from nightshift.tenants.projects import require_project

# Greater than the id of any run.
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
STATUSES = (*LIVE, "completed", "failed", "cancelled")


class Page(NamedTuple):
    runs: list[RunRow]
    cursor: str | None
    has_more: bool

    def changed_since(self, moment: datetime | None) -> list[RunRow]:
        """Return the runs that are live or have ended since ``moment``. A run that has ended does not change."""
        return [run for run in self.runs if moment is None or run.completed_at is None or run.completed_at >= moment]


def list_page(
    *,
    limit: int,
    db: Database,
    until: datetime | None,
    before_created_at: datetime | None,
    before_id: str | None,
    **filters: Any,
) -> Page:
    """Return a team's runs, newest first: up to ``limit``, or as many as fit into one response.

    ``before_created_at`` and ``before_id`` are a cursor's. ``filters`` are the other parameters of
    sql/queries/runs/list_runs.sql. Raises NotFound for a project of another team.
    """
    # One upper bound: with two, Postgres 18 begins to read the index at the wrong one.
    if until and (before_created_at is None or until < before_created_at):
        before_created_at, before_id = until, LAST_ID
    filters |= {"before_created_at": before_created_at, "before_id": before_id}
    runs = db.query_as(RunRow, "list_runs", limit=limit + 1, **filters)
    if not runs and filters["project_id"]:
        require_project(filters["project_id"], team_id=filters["team_id"], db=db)
    page = runs[: fitting(run.as_json() for run in runs[:limit])]
    has_more = len(runs) > len(page)
    cursor = f"{timestamp(page[-1].created_at)}|{page[-1].id}" if has_more else None
    return Page(page, cursor, has_more)
