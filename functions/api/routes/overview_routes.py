"""The operation that summarises a team's runs."""

from datetime import UTC, datetime
from typing import Any

from api.operations import SEARCHED, UUID, operation
from api.parsing import parse_optional_uuid
from api.request import Request
from nightshift.base.validation import parse_uuid
from nightshift.database.queries import database
from nightshift.overview.team_summary import summary


@operation(
    "GET",
    "/v1/teams/{team_id}/jobs/summary",
    summary="Overview of the last 14 days: for each project and job type whether its data is fresh, and the errors",
    answer="Summary",
    query=(
        ("project_id", "Only this project", UUID),
        ("job_type", "Only this type; an unknown type has no entries", SEARCHED),
    ),
)
def summarise(request: Request, team_id: str) -> dict[str, Any]:
    who, team_id = request.caller(), parse_uuid("team_id", team_id)
    who.require(team_id, "jobs:read")
    return summary(
        team_id,
        project_id=parse_optional_uuid("project_id", request.query("project_id")),
        job_type=request.query("job_type"),
        now=datetime.now(UTC),
        db=database(),
    )
