"""Operations on runs."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from api.operations import CURSOR, MOMENT, OF_A_RUN, SEARCHED, TEXT, operation
from api.parsing import DEFAULT_LIMIT, MAX_LIMIT, parse_choice, parse_count, parse_cursor, parse_limit, parse_moment
from api.request import Request
from api.run_filters import FILTERS, parse_filters
from nightshift.base.errors import NotFound, Refused
from nightshift.base.settings import settings
from nightshift.base.validation import parse_uuid, validate
from nightshift.database.queries import database
from nightshift.database.run_row import LIVE, RunRow, RunState
from nightshift.jobs.registry import project_job_type
from nightshift.runs import reading, requests
from nightshift.runs.job_log import KEPT_LINES, LEVELS
from nightshift.runs.log_pages import log_page
from nightshift.runs.run_ids import MOST, find_runs
from nightshift.runs.run_params import RunParams, check_params, check_stored_params
from nightshift.runs.timeline import timeline
from nightshift.schedules import team_schedules
from nightshift.tenants.audit import Author
from nightshift.tenants.auth import Principal

if TYPE_CHECKING:
    from api.bodies import TriggerBody
    from nightshift.jobs.job_type import JobType

# Lines of a log that an answer holds unless the caller says how many.
DEFAULT_LINES = 200


@operation(
    "GET",
    "/v1/teams/{team_id}/jobs",
    summary="A team's runs, newest first",
    answer="RunPage",
    query=(
        *FILTERS,
        (
            "changed_since",
            "Leave out the page's runs that ended before this time: a client that keeps them asks for what has changed",
            MOMENT,
        ),
        ("cursor", CURSOR, SEARCHED),
        (
            "limit",
            f"Runs per page (default {DEFAULT_LIMIT}); values outside 1 to {MAX_LIMIT} are clamped; large runs make a "
            "page shorter",
            {"type": "integer", "default": DEFAULT_LIMIT},
        ),
        (
            "id_prefix",
            "Only runs whose id begins with these digits: the first five, ordered by id; other filters are ignored",
            TEXT | {"pattern": "^[0-9A-Fa-f]{4,32}$"},
        ),
    ),
)
def list_runs(request: Request, team_id: str) -> dict[str, Any]:
    who, team_id, now = request.caller(), parse_uuid("team_id", team_id), datetime.now(UTC)
    who.require(team_id, "jobs:read")
    if beginning := request.query("id_prefix"):
        return _page_by_prefix(beginning, team_id=team_id)
    before_created_at, before_id = parse_cursor(request.query("cursor"))
    page = reading.list_page(
        parse_filters(request.query, who=who, now=now),
        team_id=team_id,
        before_created_at=before_created_at,
        before_id=before_id,
        limit=parse_limit(request.query("limit")),
        db=database(),
    )
    changed = page.changed_since(parse_moment("changed_since", request.query("changed_since"), now=now))
    searched = {"searched": page.searched.as_json()} if page.searched else {}
    runs = [run.as_json() for run in changed]
    return {"job_runs": runs, "cursor": page.cursor, "has_more": page.has_more, **searched}


def _page_by_prefix(beginning: str, *, team_id: str) -> dict[str, Any]:
    """Return a page of the few runs whose id has this prefix. Other filters are ignored."""
    found = find_runs("id_prefix", beginning, team_id=team_id, db=database())
    shown_runs = [run.as_json() for run in found[:MOST]]
    return {"job_runs": shown_runs, "cursor": None, "has_more": len(found) > MOST}


@operation(
    "POST",
    "/v1/teams/{team_id}/jobs/trigger",
    summary="Start a run, or with run_at make a schedule that starts it later",
    answer="Started",
    status=201,
    body="AnyTrigger",
    errors=OF_A_RUN,
    makes_a_run=True,
)
def trigger(request: Request, team_id: str) -> dict[str, Any]:
    from api.bodies import TriggerBody

    who, team_id = request.caller(), parse_uuid("team_id", team_id)
    who.require(team_id, "jobs:write")
    body = request.body()
    wanted = project_job_type(body.get("job_type"))
    if body.get("project_id") is None:
        raise Refused("project_id is required for project-scoped jobs")
    asked = validate(TriggerBody, body)
    project_id = parse_uuid("project_id", asked.project_id)
    if asked.run_at is not None:
        return {
            "schedule": _start_later(asked, wanted, project_id=project_id, team_id=team_id, author=request.author(who))
        }
    run = requests.create(
        requests.Trigger(
            job_type=wanted,
            team_id=team_id,
            project_id=project_id,
            triggered_by=who.triggered_by,
            **check_params(wanted, asked.params or {}, project_id=project_id),
            notify=bool(asked.notify),
            provider=wanted.provider,
            idempotency_key=request.idempotency_key(),
        ),
        db=database(),
        settings=settings(),
    )
    return {"job_run": run.as_json()}


def _start_later(
    asked: "TriggerBody", wanted: "JobType", *, project_id: str, team_id: str, author: Author
) -> dict[str, Any]:
    now = datetime.now(UTC)
    return team_schedules.make(
        wanted,
        team_schedules.Wanted(
            project_id=project_id,
            params=asked.params or {},
            run_at=parse_moment("run_at", asked.run_at, now=now),
            notify=bool(asked.notify),
        ),
        team_id=team_id,
        author=author,
        now=now,
        db=database(),
        settings=settings(),
    )


@operation("GET", "/v1/jobs/{run_id}", summary="A run", answer="RunEnvelope")
def get_run(request: Request, run_id: str) -> dict[str, Any]:
    return {"job_run": _state(request.caller(), run_id, "jobs:read").run.as_json()}


@operation(
    "GET",
    "/v1/jobs/{run_id}/timeline",
    summary="A run's slices, and why it is not making progress",
    answer="Timeline",
)
def get_timeline(request: Request, run_id: str) -> dict[str, Any]:
    state = _state(request.caller(), run_id, "jobs:read")
    return timeline(state, db=database(), settings=settings())


@operation(
    "GET",
    "/v1/jobs/{run_id}/logs",
    summary="The last lines that a run logged",
    answer="LogPage",
    query=(
        (
            "after",
            "Only lines after the line of this number, the oldest first. To follow a run, pass the cursor of the last "
            "answer. Without it, the answer holds the newest lines",
            {"type": "integer", "minimum": 0},
        ),
        ("level", "Only lines of this level or a higher one", TEXT | {"enum": list(LEVELS)}),
        (
            "limit",
            f"Lines in one answer (default {DEFAULT_LINES}); values outside 1 to {KEPT_LINES:,} are clamped",
            {"type": "integer", "default": DEFAULT_LINES},
        ),
    ),
)
def get_logs(request: Request, run_id: str) -> dict[str, Any]:
    return log_page(
        _state(request.caller(), run_id, "jobs:read"),
        after=parse_count("after", request.query("after")),
        level=parse_choice("level", request.query("level"), LEVELS),
        limit=parse_limit(request.query("limit"), default=DEFAULT_LINES, most=KEPT_LINES),
        db=database(),
    )


@operation("POST", "/v1/jobs/{run_id}/cancel", summary="Cancel a run", answer="Cancelled")
def cancel(request: Request, run_id: str) -> dict[str, Any]:
    who = request.caller()
    run = _state(who, run_id, "jobs:write").run
    requests.cancel(run, requested_by=who.triggered_by, db=database(), settings=settings())
    return {"cancelled": True}


@operation(
    "POST",
    "/v1/jobs/{run_id}/rerun",
    summary="Rerun an ended run",
    answer="RunEnvelope",
    status=201,
    body="RerunBody",
    errors=OF_A_RUN,
    makes_a_run=True,
)
def rerun(request: Request, run_id: str) -> dict[str, Any]:
    from api.bodies import RerunBody

    who = request.caller()
    state = _state(who, run_id, "jobs:write")
    old = state.run
    asked = validate(RerunBody, request.body())
    if old.status in LIVE:
        raise Refused(f'Cannot rerun a job with status "{old.status}"')
    if old.status == "completed" and asked.from_ == "cursor":
        raise Refused('Cannot rerun a job with status "completed" from its cursor. Rerun it from the start')
    if asked.params is not None and asked.from_ == "cursor":
        raise Refused("params can only be given from the start: the cursor belongs to the old run's parameters")
    wanted, project_id = project_job_type(old.job_type), str(old.project_id)
    run = requests.create(
        requests.Trigger(
            job_type=wanted,
            team_id=str(old.team_id),
            project_id=project_id,
            triggered_by=who.triggered_by,
            **_params_again(wanted, asked.params, old, project_id=project_id),
            notify=old.notify,
            provider=wanted.provider,
            idempotency_key=request.idempotency_key(),
            rerun_of=state,
            from_cursor=asked.from_ == "cursor",
        ),
        db=database(),
        settings=settings(),
    )
    return {"job_run": run.as_json()}


def _params_again(wanted: "JobType", given: dict[str, Any] | None, old: RunRow, *, project_id: str) -> RunParams:
    """Return the given parameters of a rerun, or those of the old run."""
    if given is not None:
        return check_params(wanted, given, project_id=project_id)
    return check_stored_params(wanted, dict(old.params), project_id=project_id)


def _state(who: Principal, run_id: str, permission: str) -> RunState:
    """Return the run. Raise NotFound for another team's run, and Forbidden if the caller lacks the permission."""
    state = database().one_as(RunState, "get_run", run_id=parse_uuid("run_id", run_id))
    if state is None or str(state.run.team_id) not in who.teams:
        raise NotFound
    who.require(str(state.run.team_id), permission)
    return state
