"""The filters of runs, of a list's query and of a bulk action's body."""

import re
from collections.abc import Callable
from datetime import datetime

from api.operations import MOMENT, SEARCHED, TEXT, UUID, WINDOW, Parameter
from api.parsing import parse_moment, parse_optional_uuid
from nightshift.base.errors import Refused
from nightshift.base.validation import parse_text, parse_uuid, shown
from nightshift.runs.reading import STATUSES, Filters
from nightshift.tenants.auth import Principal

# The longest text to search for in errors and parameters.
MAX_TEXT = 200
STATUS = "|".join(STATUSES)

FILTERS: tuple[Parameter, ...] = (
    ("job_type", "Only runs of this type; an unknown type has none", SEARCHED),
    (
        "status",
        "Only runs with this status, or with one of several that are separated by commas",
        TEXT | {"pattern": f"^({STATUS})(,({STATUS}))*$"},
    ),
    ("project_id", "Only runs of this project", UUID),
    ("since", WINDOW, MOMENT),
    ("until", WINDOW, MOMENT),
    (
        "triggered_by",
        "Only runs of this caller: me, schedule, user:<id> or api_key:<id>. This and the next two filters look at the "
        "newest 10,000 runs that match the others; searched says how far, and the cursor goes on from there",
        TEXT | {"pattern": "^(me|schedule|(manual:)?(user|api_key):[0-9a-fA-F-]{36})$"},
    ),
    ("error", "Only runs whose error contains this text, in upper or lower case", SEARCHED | {"maxLength": MAX_TEXT}),
    (
        "params",
        "Only runs with this value of one parameter, as name=value, or whose parameters contain this text",
        SEARCHED | {"maxLength": MAX_TEXT},
    ),
)


def parse_filters(given: Callable[[str], str | None], *, who: Principal, now: datetime) -> Filters:
    """Parse the filters, of which ``given`` returns the text. Raises Refused with the first invalid one."""
    return Filters(
        # Not checked against the registry: an unknown type has no runs, and a retired type may still have some.
        job_type=parse_text("job_type", given("job_type")),
        statuses=_parse_statuses(given("status")),
        project_id=parse_optional_uuid("project_id", given("project_id")),
        since=parse_moment("since", given("since"), now=now),
        until=parse_moment("until", given("until"), now=now),
        triggered_by=_parse_caller(given("triggered_by"), who=who),
        error=_parse_text("error", given("error")),
        params=_parse_text("params", given("params")),
    )


def _parse_statuses(value: str | None) -> list[str] | None:
    if value is None:
        return None
    statuses = [status.strip() for status in value.split(",")]
    for status in statuses:
        if status not in STATUSES:
            raise Refused(f"status must be one of {', '.join(STATUSES)}, got {shown(status)}")
    return statuses


def _parse_caller(value: str | None, *, who: Principal) -> str | None:
    """Return the caller as runs store it."""
    if value is None or value == "schedule":
        return value
    if value == "me":
        return who.triggered_by
    if named := re.fullmatch(r"(?:manual:)?(user|api_key):(.*)", value):
        return f"manual:{named[1]}:{parse_uuid('triggered_by', named[2])}"
    raise Refused(f"triggered_by must be me, schedule, user:<id> or api_key:<id>, got {shown(value)}")


def _parse_text(field: str, value: str | None) -> str | None:
    if value is not None and len(value) > MAX_TEXT:
        raise Refused(f"{field} must have at most {MAX_TEXT} characters, got {shown(value)}")
    return parse_text(field, value) or None
