"""The lists of runs that clients read, and the runs that bulk actions are about."""

import re
from dataclasses import asdict, dataclass
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
# A search for texts, and for who triggered runs, looks at this many runs: each is read.
MOST_SEARCHED = 10_000
NAMED_PARAM = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The runs of a list. None: any."""

    statuses: list[str] | None = None
    job_type: str | None = None
    project_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    triggered_by: str | None = None
    error: str | None = None
    """Text in the error, in upper or lower case."""
    params: str | None = None
    """``name=value`` of one parameter, or text in the parameters as JSON."""

    @property
    def searches(self) -> bool:
        return any((self.triggered_by, self.error, self.params))

    def search(self) -> dict[str, Any]:
        """Return the parameters of search_runs.sql that are compared with each run."""
        named = NAMED_PARAM.fullmatch(self.params or "")
        return {
            "triggered_by": self.triggered_by,
            "error": self.error,
            "params": None if named else self.params,
            "param_name": named and named[1],
            "param_value": named and named[2],
        }


class Searched(NamedTuple):
    """How far a search looked: at so many runs, back to this time."""

    runs: int
    back_to: datetime | None

    def as_json(self) -> dict[str, object]:
        return {"runs": self.runs, "back_to": timestamp(self.back_to)}


class Page(NamedTuple):
    runs: list[RunRow]
    cursor: str | None
    has_more: bool
    searched: Searched | None = None

    def changed_since(self, moment: datetime | None) -> list[RunRow]:
        """Return the runs that are live or have ended since ``moment``. A run that has ended does not change."""
        return [run for run in self.runs if moment is None or run.completed_at is None or run.completed_at >= moment]


class Matches(NamedTuple):
    """The ids of the runs that match, newest first, and how far the search for them looked."""

    ids: list[str]
    looked_at: int
    last_created_at: datetime | None
    last_id: str | None

    @property
    def looked_far_enough(self) -> bool:
        """Whether no older run can match."""
        return self.looked_at < MOST_SEARCHED


def list_page(
    filters: Filters,
    *,
    team_id: str,
    limit: int,
    before_created_at: datetime | None,
    before_id: str | None,
    db: Database,
) -> Page:
    """Return a team's runs, newest first: up to ``limit``, or as many as fit into one response.

    ``before_created_at`` and ``before_id`` are a cursor's. Raises NotFound for a project of another team.
    """
    range_ = _range(filters, before_created_at=before_created_at, before_id=before_id)
    if filters.searches:
        return _searched_page(filters, range_, team_id=team_id, limit=limit, db=db)
    runs = db.query_as(RunRow, "list_runs", team_id=team_id, limit=limit + 1, **range_)
    _require_project(filters, runs, team_id=team_id, db=db)
    page, cursor = _fitting(runs, limit=limit)
    return Page(page, cursor, cursor is not None)


def matches(filters: Filters, *, team_id: str, limit: int, db: Database) -> Matches:
    """Return up to ``limit`` + 1 ids of the team's runs that match. Raises NotFound for a project of another team."""
    found = _matches(filters, _range(filters), team_id=team_id, limit=limit + 1, db=db)
    _require_project(filters, found.ids, team_id=team_id, db=db)
    return found


def _searched_page(filters: Filters, range_: dict[str, Any], *, team_id: str, limit: int, db: Database) -> Page:
    """Return a page of the runs that match. Its cursor goes on where the search stopped, even if nothing was found."""
    found = _matches(filters, range_, team_id=team_id, limit=limit + 1, db=db)
    _require_project(filters, found.ids, team_id=team_id, db=db)
    runs = db.query_as(RunRow, "list_runs_by_id", run_ids=found.ids) if found.ids else []
    page, cursor = _fitting(runs, limit=limit)
    if cursor is None and not found.looked_far_enough and found.last_created_at:
        cursor = f"{timestamp(found.last_created_at)}|{found.last_id}"
    return Page(page, cursor, cursor is not None, Searched(found.looked_at, found.last_created_at))


def _matches(filters: Filters, range_: dict[str, Any], *, team_id: str, limit: int, db: Database) -> Matches:
    # Without a search each run that is looked at matches, so that one more shows that there are too many.
    most = MOST_SEARCHED if filters.searches else limit
    rows = db.query("search_runs", team_id=team_id, most=most, limit=limit, **filters.search(), **range_)
    last = rows[0]
    return Matches(
        [row["id"] for row in rows if row["id"]], last["looked_at"], last["last_created_at"], last["last_id"]
    )


def _range(
    filters: Filters, *, before_created_at: datetime | None = None, before_id: str | None = None
) -> dict[str, Any]:
    """Return the parameters that select by columns with an index."""
    # One upper bound: with two, Postgres 18 begins to read the index at the wrong one.
    if filters.until and (before_created_at is None or filters.until < before_created_at):
        before_created_at, before_id = filters.until, LAST_ID
    chosen = {name: asdict(filters)[name] for name in ("statuses", "job_type", "project_id", "since")}
    return chosen | {"before_created_at": before_created_at, "before_id": before_id}


def _fitting(runs: list[RunRow], *, limit: int) -> tuple[list[RunRow], str | None]:
    """Return the runs of the page, and the cursor of the next one if there are more."""
    page = runs[: fitting(run.as_json() for run in runs[:limit])]
    return page, f"{timestamp(page[-1].created_at)}|{page[-1].id}" if len(runs) > len(page) else None


def _require_project(filters: Filters, found: list[Any], *, team_id: str, db: Database) -> None:
    if not found and filters.project_id:
        require_project(filters.project_id, team_id=team_id, db=db)
