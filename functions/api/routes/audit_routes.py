"""The operation that lists a team's audit."""

from typing import Any

from api.operations import CURSOR, UUID, operation
from api.parsing import DEFAULT_LIMIT, MAX_LIMIT, parse_limit, parse_optional_uuid
from api.request import Request
from nightshift.base.validation import parse_uuid
from nightshift.database.queries import database
from nightshift.tenants import audit


@operation(
    "GET",
    "/v1/teams/{team_id}/audit",
    summary="Changes of a team, newest first: who made, changed, stored or ended what",
    answer="AuditPage",
    query=(
        ("cursor", CURSOR, UUID),
        (
            "limit",
            f"Entries per page (default {DEFAULT_LIMIT}); values outside 1 to {MAX_LIMIT} are clamped",
            {"type": "integer", "default": DEFAULT_LIMIT},
        ),
    ),
)
def list_audit(request: Request, team_id: str) -> dict[str, Any]:
    who, team_id = request.caller(), parse_uuid("team_id", team_id)
    who.require(team_id, "audit:read")
    page = audit.list_page(
        team_id=team_id,
        before_id=parse_optional_uuid("cursor", request.query("cursor")),
        limit=parse_limit(request.query("limit")),
        db=database(),
    )
    return {"entries": page.entries, "cursor": page.cursor, "has_more": page.cursor is not None}
