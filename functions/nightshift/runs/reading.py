"""Runs as clients read them: lists, and the ``job_run`` of the HTTP contract."""

from dataclasses import dataclass
from typing import Any

from nightshift.base.errors import NotFound
from nightshift.base.paging import fitting
from nightshift.base.wording import timestamp
from nightshift.database.queries import Database, Row

STATUSES = ("pending", "running", "completed", "failed", "cancelled")
LIVE = ("pending", "running")


@dataclass(frozen=True)
class Page:
    rows: list[Row]
    cursor: str | None
    has_more: bool


def list_page(*, limit: int, db: Database, **filters: Any) -> Page:
    """Return a team's runs, newest first: up to ``limit``, or as many as fit into one response.

    ``filters`` are the parameters of sql/queries/runs/list_runs.sql. Raises NotFound for a project of another team.
    """
    rows = db.query("list_runs", limit=limit + 1, **filters)
    if not rows and filters["project_id"]:
        project = db.one("get_project", project_id=filters["project_id"])
        if project is None or str(project["team_id"]) != filters["team_id"]:
            raise NotFound("Project not found")
    page = rows[: fitting(as_json(row) for row in rows[:limit])]
    has_more = len(rows) > len(page)
    cursor = f"{timestamp(page[-1]['created_at'])}|{page[-1]['id']}" if has_more else None
    return Page(page, cursor, has_more)


def as_json(row: Row) -> dict[str, Any]:
    """Return the ``job_run`` of the HTTP contract."""
    return {
        "id": str(row["id"]),
        "job_type": row["job_type"],
        "status": row["status"],
        "team_id": row["team_id"] and str(row["team_id"]),
        "project_id": row["project_id"] and str(row["project_id"]),
        "triggered_by": row["triggered_by"],
        "params": row["params"],
        "progress": _progress(row),
        "result": row["result"],
        "error": row["error"],
        "notify": row["notify"],
        "started_at": timestamp(row["started_at"]),
        "completed_at": timestamp(row["completed_at"]),
        "created_at": timestamp(row["created_at"]),
    }


def _progress(row: Row) -> dict[str, Any] | None:
    """Return the progress. While the run waits, the message also says what it waits for."""
    progress: dict[str, Any] | None = row["progress"]
    waits_for = {"pending": "a free worker", "running": row.get("waiting_for")}.get(row["status"])
    if not progress or not waits_for:
        return progress
    before = f"{progress['message']}; waiting" if progress["message"] else "Waiting"
    return progress | {"message": f"{before} for {waits_for}"}
