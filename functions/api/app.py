"""The HTTP API: parses a request, calls one function, maps the result. /v1/openapi.json serves its description."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypedDict

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths

from api import health
from api.answers import finished, headers_of
from api.parsing import (
    MAX_BODY_BYTES,
    MAX_LISTED,
    body_of,
    cursor_of,
    idempotency_key_of,
    limit_of,
    moment_of,
    one_of,
    optional_uuid,
    search_of,
    size_of,
    text_of,
    uuid_of,
    validated,
)
from api.routes import Resolver
from api.signins import note_refused
from nightshift import __version__
from nightshift.base import metrics
from nightshift.base.errors import (
    MAX_SENTENCE,
    DatabaseBusy,
    DatabaseGone,
    DatabaseReadOnly,
    NotFound,
    Refused,
    RowsHidden,
    SignInRefused,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from nightshift.base.logger import logger
from nightshift.base.settings import settings
from nightshift.base.validation import clipped, shown
from nightshift.database.queries import Row, database
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES, job_type
from nightshift.runs import reading, requests
from nightshift.runs.pauses import list_pauses, pause_json
from nightshift.runs.run_ids import MOST, find_runs
from nightshift.runs.timeline import timeline
from nightshift.tenants import integrations, projects, teams
from nightshift.tenants.auth import Membership, Principal, authenticate

app = Resolver()


@logger.inject_lambda_context(clear_state=True, correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    request = event["requestContext"]["http"]
    method, headers = request["method"], {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if method == "HEAD":
        # A HEAD response is the GET response without its body.
        event = event | {"requestContext": event["requestContext"] | {"http": request | {"method": "GET"}}}
    return finished(app.resolve(event, context), method=method, asked=headers)


@app.get("/v1/health")
def get_health() -> dict[str, Any]:
    health.check()
    return {"status": "ok", "version": __version__}


@app.get("/v1/openapi.json")
def get_openapi() -> Response[str]:
    from api.openapi import text

    base_path = app.current_event.path.removesuffix("/v1/openapi.json")
    return Response(status_code=200, content_type="application/json", body=text(base_path))


@app.get("/v1/auth/whoami")
def whoami() -> dict[str, Any]:
    who = _caller()
    if who.kind == "api_key":
        [team] = who.teams.values()
        return {
            "type": "api_key",
            "key_type": who.key_type,
            "team": _team(team),
            "permissions": list(who.permissions),
        }
    page, cursor = teams.find(
        who.teams.values(), q=search_of(_query("q")), after=_query("cursor"), limit=_many(_query("limit"))
    )
    return {
        "type": "user",
        "email": who.email,
        "teams": [_team(team) | {"role": team.role} for team in page],
    } | _more(cursor)


@app.get("/v1/projects")
def list_projects() -> dict[str, Any]:
    who, team_id = _caller(), optional_uuid("team_id", _query("team_id"))
    if team_id:
        who.require(team_id, "jobs:read")
    page, cursor = projects.list_page(
        [team_id] if team_id else who.managed_teams("jobs:read"),
        q=search_of(_query("q")),
        after=optional_uuid("cursor", _query("cursor")),
        limit=_many(_query("limit")),
        db=database(),
    )
    return {"projects": page} | _more(cursor)


@app.get("/v1/projects/<project_id>")
def get_project(project_id: str) -> dict[str, Any]:
    return projects.with_apps(_project(_caller(), project_id, "jobs:read"), db=database())


@app.post("/v1/projects/<project_id>/integrations/revenuecat/sync")
def sync_revenuecat(project_id: str) -> dict[str, Any]:
    who = _caller()
    project = _project(who, project_id, "jobs:write")
    integrations.require_revenuecat(project["id"], db=database())
    wanted = JOB_TYPES["revenuecat_sync"]
    row = requests.create(
        requests.Trigger(
            job_type=wanted,
            team_id=project["team_id"],
            project_id=project["id"],
            triggered_by=who.triggered_by,
            **_params(wanted, {}, project_id=project["id"]),
            idempotency_key=idempotency_key_of(app.current_event.headers),
        ),
        db=database(),
        settings=settings(),
    )
    return {"syncing": True, "total": row["progress"]["total"], "job_run_id": str(row["id"])}


@app.get("/v1/teams/<team_id>/members")
def list_members(team_id: str) -> dict[str, Any]:
    who, team_id = _caller(), uuid_of("team_id", team_id)
    who.require(team_id, "jobs:read")
    # Pipelines and agents use API keys. They do not need people's e-mail addresses.
    return teams.members(
        team_id,
        with_emails=who.kind == "user",
        q=search_of(_query("q")),
        limit=_many(_query("limit")),
        db=database(),
    )


@app.get("/v1/job-types")
def list_job_types() -> dict[str, Any]:
    _caller()
    paused = {row["job_type"]: pause_json(row) for row in list_pauses(database()) if row["what"] == "type"}
    return {
        "job_types": [
            {
                "job_type": known.name,
                "label": known.label,
                "description": known.description,
                "params": known.params_model().model_json_schema(),
                "paused": paused.get(known.name),
            }
            for known in JOB_TYPES.values()
            if known.scope == "project"
        ]
    }


@app.get("/v1/teams/<team_id>/jobs")
def list_runs(team_id: str) -> dict[str, Any]:
    who, team_id, now = _caller(), uuid_of("team_id", team_id), datetime.now(UTC)
    who.require(team_id, "jobs:read")
    if beginning := _query("id_prefix"):
        return _begin_so(beginning, team_id=team_id)
    before_created_at, before_id = cursor_of(_query("cursor"))
    page = reading.list_page(
        team_id=team_id,
        # Not checked against the registry: an unknown type has no runs, and a retired type may still have some.
        job_type=_query("job_type"),
        status=one_of("status", _query("status"), reading.STATUSES),
        project_id=optional_uuid("project_id", _query("project_id")),
        since=moment_of("since", _query("since"), now=now),
        until=moment_of("until", _query("until"), now=now),
        before_created_at=before_created_at,
        before_id=before_id,
        limit=limit_of(_query("limit")),
        db=database(),
    )
    return {"job_runs": [reading.as_json(row) for row in page.rows], "cursor": page.cursor, "has_more": page.has_more}


def _begin_so(beginning: str, *, team_id: str) -> dict[str, Any]:
    """Return a page of the few runs whose id has this prefix. Other filters are ignored."""
    found = find_runs("id_prefix", beginning, team_id=team_id, db=database())
    shown_runs = [reading.as_json(row) for row in found[:MOST]]
    return {"job_runs": shown_runs, "cursor": None, "has_more": len(found) > MOST}


@app.post("/v1/teams/<team_id>/jobs/trigger")
def trigger(team_id: str) -> Response[str]:
    from api.bodies import TriggerBody

    who, team_id = _caller(), uuid_of("team_id", team_id)
    who.require(team_id, "jobs:write")
    body = _body()
    wanted = _project_job_type(body.get("job_type"))
    if body.get("project_id") is None:
        raise Refused("project_id is required for project-scoped jobs")
    request = validated(TriggerBody, body)
    project_id = uuid_of("project_id", request.project_id)
    row = requests.create(
        requests.Trigger(
            job_type=wanted,
            team_id=team_id,
            project_id=project_id,
            triggered_by=who.triggered_by,
            **_params(wanted, request.params or {}, project_id=project_id),
            notify=bool(request.notify),
            idempotency_key=idempotency_key_of(app.current_event.headers),
        ),
        db=database(),
        settings=settings(),
    )
    return _json(201, {"job_run": reading.as_json(row)})


@app.get("/v1/jobs/<run_id>")
def get_run(run_id: str) -> dict[str, Any]:
    return {"job_run": reading.as_json(_run(_caller(), run_id, "jobs:read"))}


@app.get("/v1/jobs/<run_id>/timeline")
def get_timeline(run_id: str) -> dict[str, Any]:
    run = _run(_caller(), run_id, "jobs:read")
    return timeline(run, db=database(), settings=settings())


@app.post("/v1/jobs/<run_id>/cancel")
def cancel(run_id: str) -> dict[str, Any]:
    who = _caller()
    run = _run(who, run_id, "jobs:write")
    requests.cancel(run, requested_by=who.triggered_by, db=database(), settings=settings())
    return {"cancelled": True}


@app.post("/v1/jobs/<run_id>/rerun")
def rerun(run_id: str) -> Response[str]:
    from api.bodies import RerunBody

    who = _caller()
    old = _run(who, run_id, "jobs:write")
    request = validated(RerunBody, _body())
    if old["status"] in reading.LIVE:
        raise Refused(f'Cannot rerun a job with status "{old["status"]}"')
    if old["status"] == "completed" and request.from_ == "cursor":
        raise Refused('Cannot rerun a job with status "completed" from its cursor. Rerun it from the start')
    wanted, project_id = _project_job_type(old["job_type"]), str(old["project_id"])
    row = requests.create(
        requests.Trigger(
            job_type=wanted,
            team_id=str(old["team_id"]),
            project_id=project_id,
            triggered_by=who.triggered_by,
            **_params(wanted, old["params"], project_id=project_id),
            notify=old["notify"],
            idempotency_key=idempotency_key_of(app.current_event.headers),
            rerun_of=old,
            from_cursor=request.from_ == "cursor",
        ),
        db=database(),
        settings=settings(),
    )
    return _json(201, {"job_run": reading.as_json(row)})


@app.not_found
def not_found(_: NotFoundError) -> Response[str]:
    method, path = app.current_event.http_method, clipped(app.current_event.path)
    methods = app.methods_of(app.current_event.path)
    if method == "OPTIONS" and methods:
        return _json(200, {"methods": methods}, {"Allow": ", ".join(methods)})
    if methods and method not in methods:
        said = f"{path} does not support {clipped(method)}. Supported methods: {', '.join(methods)}"
        return _json(405, {"error": said}, {"Allow": ", ".join(methods)})
    return _json(404, {"error": f"No such endpoint: {clipped(method)} {path}"})


@app.exception_handler(Refused)
def refused(exc: Refused) -> Response[str]:
    return _json(exc.status, {"error": str(exc)[:MAX_SENTENCE]} | exc.extra, headers_of(exc))


@app.exception_handler([DatabaseGone, DatabaseBusy, SignInRefused, RowsHidden])
def unavailable(exc: Exception) -> Response[str]:
    logger.warning(f"Database unavailable: {exc}", action="database_unavailable")
    trouble = None
    if isinstance(exc, RowsHidden):
        trouble = "The database hides rows that this request needs. Tell the server's operator."
    elif isinstance(exc, DatabaseReadOnly):
        trouble = "The database is read-only at the moment. Try again in a moment."
    elif isinstance(exc, DatabaseBusy):
        trouble = "The database is busy. Try again in a moment."
    answer: Response[str] = refused(Unavailable(trouble))
    return answer


@app.exception_handler(Exception)
def unexpected(exc: Exception) -> Response[str]:
    logger.exception("Unexpected error", action="api_error")
    return _json(500, {"error": "Something went wrong on our side", "request_id": app.lambda_context.aws_request_id})


def _caller() -> Principal:
    headers = {name.lower(): value for name, value in app.current_event.headers.items()}
    authorization = headers.get("authorization")
    try:
        return authenticate(authorization, db=database(), settings=settings())
    except Unauthorized as exc:
        note_refused(authorization, exc)
        raise


def _run(who: Principal, run_id: str, permission: str) -> Row:
    """Return the run. Raise NotFound for another team's run, and Forbidden if the caller lacks the permission."""
    row = database().one("get_run", run_id=uuid_of("run_id", run_id))
    if row is None or str(row["team_id"]) not in who.teams:
        raise NotFound
    who.require(str(row["team_id"]), permission)
    return row


def _project(who: Principal, project_id: str, permission: str) -> dict[str, Any]:
    """Return the project. Raise NotFound for another team's project, Forbidden if the caller lacks the permission."""
    project = projects.get_project(uuid_of("project_id", project_id), db=database())
    if project["team_id"] not in who.teams:
        raise NotFound("Project not found")
    who.require(project["team_id"], permission)
    return project


def _project_job_type(name: object) -> JobType:
    wanted = job_type(name)
    if wanted.scope == "system":
        raise Refused(f'Cannot trigger system job "{wanted.name}" via API')
    return wanted


class Told(TypedDict):
    """The params that a run is stored with, and those among them that the caller gave."""

    params: dict[str, Any]
    asked: dict[str, Any]


def _params(wanted: JobType, params: dict[str, Any], *, project_id: str) -> Told:
    """Validate the params. A ``project_id`` in them must be the run's own: params must not widen what a run reaches."""
    params = dict(params)
    named = params.pop("project_id", project_id)
    if uuid_of("params.project_id", named) != project_id:
        raise Refused(f"params.project_id must be the run's own project {project_id}, got {shown(named)}")
    model = validated(wanted.params_model(), params, prefix="params")
    return {
        "params": {"project_id": project_id} | model.model_dump(mode="json"),
        "asked": model.model_dump(mode="json", exclude_unset=True),
    }


def _body() -> dict[str, Any]:
    try:
        return body_of(app.current_event.decoded_body)
    except ValueError:  # API Gateway encodes other content types in base64
        raise Refused("The body must be JSON in UTF-8") from None


def _query(name: str) -> str | None:
    """Return the value of a query parameter. An empty value counts as not given."""
    value = app.current_event.query_string_parameters.get(name) or ""
    return text_of(name, value) if value.strip() else None


def _many(limit: str | None) -> int:
    return limit_of(limit, default=MAX_LISTED, most=MAX_LISTED)


def _more(cursor: str) -> dict[str, Any]:
    """Return the fields that say that a list has more pages."""
    return {"has_more": True, "cursor": cursor} if cursor else {}


def _team(team: Membership) -> dict[str, Any]:
    return {"id": team.team_id, "name": team.name, "slug": team.slug}


def _json(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response[str]:
    return Response(
        status_code=status, content_type="application/json", body=json.dumps(body), headers=dict(headers or {})
    )


def _within_bounds(app: Resolver, next_middleware: Callable[[Resolver], Response[str]]) -> Response[str]:
    """Refuse a body that is too large, before authentication and any other work."""
    size = size_of(app.current_event.body, base64_encoded=bool(app.current_event.is_base64_encoded))
    if size > MAX_BODY_BYTES:
        raise TooLarge(f"The request body has {size:,} bytes. The maximum is {MAX_BODY_BYTES:,}")
    return next_middleware(app)


app.use([_within_bounds])
