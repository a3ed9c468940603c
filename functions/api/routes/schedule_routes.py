"""Operations on the schedules of a team's projects."""

from datetime import UTC, datetime
from typing import Any

from api.operations import OF_A_RUN, SEARCHED, TEXT, UUID, operation
from api.parsing import parse_limit, parse_moment, parse_optional_uuid
from api.request import Request
from nightshift.base.errors import NotFound, Refused
from nightshift.base.settings import settings
from nightshift.base.validation import parse_uuid, validate
from nightshift.database.queries import database
from nightshift.jobs.registry import JOB_TYPES, project_job_type
from nightshift.schedules import team_schedules
from nightshift.tenants.auth import Principal

MAX_CRON = 200


@operation(
    "GET",
    "/v1/cron",
    summary="A cron expression in words, and its next times",
    answer="CronPreview",
    query=(
        ("cron", "Five fields, or an alias such as @daily", SEARCHED | {"maxLength": MAX_CRON}),
        ("zone", "The time zone whose clock it follows, such as Europe/Berlin (default UTC)", SEARCHED),
    ),
    errors=(400, 401),
)
def preview_cron(request: Request) -> dict[str, Any]:
    request.caller()
    return team_schedules.preview(
        (request.query("cron") or "")[:MAX_CRON],
        request.query("zone") or "UTC",
        now=datetime.now(UTC),
        settings=settings(),
    )


@operation(
    "GET",
    "/v1/teams/{team_id}/schedules",
    summary="The schedules of a team's projects, newest first",
    answer="Schedules",
    query=(
        ("project_id", "Only schedules of this project", UUID),
        ("job_type", "Only schedules of this type; an unknown type has none", SEARCHED),
    ),
)
def list_schedules(request: Request, team_id: str) -> dict[str, Any]:
    who, team_id = request.caller(), parse_uuid("team_id", team_id)
    who.require(team_id, "jobs:read")
    found, has_more = team_schedules.list_of_team(
        team_id,
        project_id=parse_optional_uuid("project_id", request.query("project_id")),
        job_type=request.query("job_type"),
        db=database(),
    )
    return {"schedules": found} | ({"has_more": True} if has_more else {})


@operation(
    "POST",
    "/v1/teams/{team_id}/schedules",
    summary="Make a schedule",
    answer="ScheduleEnvelope",
    status=201,
    body="AnySchedule",
    errors=OF_A_RUN[:-1],
)
def make_schedule(request: Request, team_id: str) -> dict[str, Any]:
    from api.bodies import ScheduleBody

    who, team_id = request.caller(), parse_uuid("team_id", team_id)
    who.require(team_id, "jobs:write")
    body = request.body()
    wanted = project_job_type(body.get("job_type"))
    asked = validate(ScheduleBody, body)
    now = datetime.now(UTC)
    if (asked.cron is None) == (asked.run_at is None):
        raise Refused("A schedule needs either cron or run_at: cron repeats, run_at starts one run")
    made = team_schedules.make(
        wanted,
        team_schedules.Wanted(
            project_id=parse_uuid("project_id", asked.project_id),
            params=asked.params or {},
            cron=asked.cron,
            run_at=parse_moment("run_at", asked.run_at, now=now),
            zone=asked.zone or "UTC",
            name=asked.name or "",
            notify=bool(asked.notify),
        ),
        team_id=team_id,
        author=request.author(who),
        now=now,
        db=database(),
        settings=settings(),
    )
    return {"schedule": made}


@operation("GET", "/v1/schedules/{schedule_id}", summary="A schedule", answer="ScheduleEnvelope")
def get_schedule(request: Request, schedule_id: str) -> dict[str, Any]:
    return {"schedule": _schedule(request.caller(), schedule_id, "jobs:read")}


@operation(
    "GET",
    "/v1/schedules/{schedule_id}/slots",
    summary="Past times of a schedule with their outcomes, newest first",
    answer="SlotPage",
    query=(
        ("before", "Only slots before this time: the last slot of the previous page", TEXT | {"format": "date-time"}),
        ("limit", "Slots per page (default 50); values outside 1 to 200 are clamped", {"type": "integer"}),
    ),
)
def list_slots(request: Request, schedule_id: str) -> dict[str, Any]:
    schedule = _schedule(request.caller(), schedule_id, "jobs:read")
    slots, has_more = team_schedules.slots(
        schedule["id"],
        before=parse_moment("before", request.query("before"), now=datetime.now(UTC)),
        limit=parse_limit(request.query("limit")),
        db=database(),
    )
    return {"slots": slots} | ({"has_more": True} if has_more else {})


@operation(
    "PATCH",
    "/v1/schedules/{schedule_id}",
    summary="Change a schedule",
    answer="ScheduleEnvelope",
    body="ScheduleChanges",
    errors=OF_A_RUN[:-1],
)
def change_schedule(request: Request, schedule_id: str) -> dict[str, Any]:
    from api.bodies import ScheduleChanges

    who = request.caller()
    schedule = _schedule(who, schedule_id, "jobs:write")
    now = datetime.now(UTC)
    asked = validate(ScheduleChanges, request.body()).model_dump(exclude_none=True)
    if "run_at" in asked:
        asked["run_at"] = parse_moment("run_at", asked["run_at"], now=now)
    if "cron" in asked and "run_at" in asked:
        raise Refused("A schedule needs either cron or run_at: cron repeats, run_at starts one run")
    if "cron" in asked or "run_at" in asked:
        asked = {"cron": None, "run_at": None} | asked
    changed = team_schedules.change(
        schedule["id"],
        asked,
        job_types=JOB_TYPES,
        author=request.author(who),
        now=now,
        db=database(),
        settings=settings(),
    )
    return {"schedule": changed}


@operation(
    "POST",
    "/v1/schedules/{schedule_id}/pause",
    summary="Pause a schedule",
    answer="ScheduleEnvelope",
    body="PauseBody",
)
def pause_schedule(request: Request, schedule_id: str) -> dict[str, Any]:
    from api.bodies import PauseBody

    who = request.caller()
    schedule = _schedule(who, schedule_id, "jobs:write")
    asked = validate(PauseBody, request.body())
    return {"schedule": team_schedules.pause(schedule["id"], why=asked.why, author=request.author(who), db=database())}


@operation(
    "POST", "/v1/schedules/{schedule_id}/resume", summary="End the pause of a schedule", answer="ScheduleEnvelope"
)
def resume_schedule(request: Request, schedule_id: str) -> dict[str, Any]:
    who, now = request.caller(), datetime.now(UTC)
    schedule = _schedule(who, schedule_id, "jobs:write")
    resumed = team_schedules.resume(schedule["id"], author=request.author(who), now=now, db=database())
    return {"schedule": resumed}


@operation("DELETE", "/v1/schedules/{schedule_id}", summary="Delete a schedule; its runs stay", answer="Deleted")
def delete_schedule(request: Request, schedule_id: str) -> dict[str, Any]:
    who = request.caller()
    schedule = _schedule(who, schedule_id, "jobs:write")
    team_schedules.delete(schedule["id"], author=request.author(who), db=database())
    return {"deleted": True}


def _schedule(who: Principal, schedule_id: str, permission: str) -> dict[str, Any]:
    """Return the schedule. Raise NotFound for another team's, Forbidden if the caller lacks the permission."""
    schedule = team_schedules.get(parse_uuid("schedule_id", schedule_id), db=database())
    if schedule["team_id"] not in who.teams:
        raise NotFound("Schedule not found")
    who.require(schedule["team_id"], permission)
    return schedule
