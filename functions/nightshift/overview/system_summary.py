"""The operator's overview: the jobs of all teams and of the system by type, the teams with failures, and the errors."""

from datetime import UTC, datetime
from typing import Any

from nightshift.database.queries import Database
from nightshift.overview.error_groups import Failure, grouped
from nightshift.overview.figures import MOST_RECENT, day_names, figures_of, first_day

MOST_TEAMS, MOST_GROUPS = 10, 10
MOST_FAILURES = 1000


def overview(*, db: Database) -> dict[str, Any]:
    """Return the overview of the last 14 days in UTC over all teams."""
    first = first_day(datetime.now(UTC))
    since = datetime.combine(first, datetime.min.time(), UTC)
    failures = db.query_as(Failure, "all_failures", since=since, at_most=MOST_FAILURES, again_if_gone=True)
    teams = db.query("failing_teams", first_day=first, at_most=MOST_TEAMS)
    return {
        "days": day_names(first),
        "jobs": [
            {"job_type": row["job_type"]} | figures_of(row["days"])
            for row in db.query("all_days", first_day=first, at_most=MOST_RECENT)
        ],
        "teams": [row | {"team_id": str(row["team_id"])} for row in teams],
        "errors": grouped(failures, at_most=MOST_GROUPS),
        "failures_looked_at": len(failures),
        "has_more_failures": len(failures) == MOST_FAILURES,
    }
