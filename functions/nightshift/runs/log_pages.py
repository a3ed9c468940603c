"""The stored lines of a run's log, as clients read them: the newest ones, or those after a line, page by page."""

from nightshift.base.paging import fitting
from nightshift.database.log_row import LogRow
from nightshift.database.queries import Database
from nightshift.database.run_row import RunState
from nightshift.runs.job_log import KEPT_LINES, LEVELS

# Slices whose workers were lost that a page names, the newest.
MAX_LOST = 100


def log_page(state: RunState, *, after: int | None, level: str | None, limit: int, db: Database) -> dict[str, object]:
    """Return ``{"log_lines", "cursor", "has_more", "left_out", "logged", "lost_slices", "status"}``.

    Without ``after``, these are the newest lines; with it, the first ones after the line of that number. ``level``
    leaves out lines of lower levels. The next request passes ``cursor`` as its ``after``.
    """
    rows = db.query_as(LogRow, "list_log_lines", run_id=state.run.id, after=after or 0)
    logged = max([state.logged_lines or 0, *(row.last_line for row in rows)])
    # The statement that stores lines forgets whole rows.
    floor = max(after or 0, logged - KEPT_LINES)
    lines = [line for row in rows for line in row.numbered() if line["line"] > floor]
    first = lines[0]["line"] if lines else logged + 1
    wanted = [line for line in lines if level is None or LEVELS.index(line["level"]) >= LEVELS.index(level)]
    if after is None:
        newest = wanted[-limit:]
        shown, has_more = newest[len(newest) - fitting(reversed(newest)) :], False
    else:
        shown = wanted[: fitting(wanted[:limit])]
        has_more = len(wanted) > len(shown)
    return {
        "log_lines": shown,
        "cursor": shown[-1]["line"] if has_more else max(logged, after or 0),
        "has_more": has_more,
        "left_out": max(0, first - 1 - (after or 0)),
        "logged": logged,
        "lost_slices": _lost_slices(state, db=db),
        "status": state.run.status,
    }


def _lost_slices(state: RunState, *, db: Database) -> list[int]:
    if not state.lost_in_total:
        return []
    rows = db.query("lost_slices_of_run", run_id=state.run.id, at_most=MAX_LOST)
    return [row["slice"] for row in reversed(rows)]
