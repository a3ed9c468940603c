"""The OpenAPI document, generated from the table below and the models in bodies.py and schemas.py."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import bodies, schemas
from api.parsing import DEFAULT_LIMIT, MAX_IDEMPOTENCY_KEY, MAX_LIMIT, MAX_LISTED, MAX_SEARCH
from nightshift import __version__
from nightshift.runs.reading import STATUSES

TEXT = {"type": "string"}
# Postgres cannot store NUL.
SEARCHED = TEXT | {"pattern": r"^[^\u0000]*$"}
UUID = TEXT | {"format": "uuid"}
MOMENT = {"anyOf": [TEXT | {"format": "date-time"}, TEXT | {"pattern": "^[0-9]{1,5}[smhdw]$"}]}
WINDOW = "ISO 8601, or relative to now: 30s, 30m, 1h, 7d, 2w"
CURSOR = "The cursor that the previous page returned"
# No spaces at either end, because HTTP strips them.
PRINTABLE = "^[!-~]([ -~]*[!-~])?$"


def limit(most: int, default: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def searched(what: str) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """Return the query parameters of a list whose length grows with the team."""
    return (
        ("q", f"Only {what}", SEARCHED | {"maxLength": MAX_SEARCH}),
        (
            "limit",
            f"Maximum number of entries, 1 to {MAX_LISTED:,} (the default)",
            limit(MAX_LISTED, MAX_LISTED),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One endpoint. ``answers`` are the models a 2xx may carry, ``errors`` the statuses with an Error.

    ``query`` holds the name, the description and the schema of each query parameter.
    """

    method: str
    path: str
    summary: str
    answers: tuple[type[BaseModel], ...]
    status: int = 200
    bodies: tuple[type[BaseModel], ...] = ()
    """Any of these; an empty body is an empty object."""
    query: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    errors: tuple[int, ...] = (400, 401, 403, 404)
    makes_a_run: bool = False


OPERATIONS = (
    Operation(method="get", path="/v1/health", summary="Health of the service", answers=(schemas.Health,), errors=()),
    Operation(
        method="get",
        path="/v1/auth/whoami",
        summary="The caller's identity and teams",
        answers=(schemas.ApiKeyIdentity, schemas.UserIdentity),
        query=(
            *searched("teams whose name or slug contains this text; for users, ignored for API keys"),
            ("cursor", CURSOR, SEARCHED),
        ),
        errors=(400, 401),
    ),
    Operation(
        method="get",
        path="/v1/projects",
        summary="Projects of the teams that the caller manages",
        answers=(schemas.Projects,),
        query=(
            ("team_id", "Only projects of this team", UUID),
            *searched("projects whose name or slug contains this text"),
            ("cursor", CURSOR, UUID),
        ),
        errors=(400, 401, 403),
    ),
    Operation(method="get", path="/v1/projects/{project_id}", summary="A project", answers=(schemas.ProjectWithApps,)),
    Operation(
        method="post",
        path="/v1/projects/{project_id}/integrations/revenuecat/sync",
        summary="Start a RevenueCat sync",
        answers=(schemas.Syncing,),
        errors=(400, 401, 403, 404, 409, 422, 429),
        makes_a_run=True,
    ),
    Operation(
        method="get",
        path="/v1/teams/{team_id}/members",
        summary="People and keys of a team",
        answers=(schemas.Members,),
        query=searched("members and keys with this id, or whose e-mail address or name contains this text"),
    ),
    Operation(
        method="get",
        path="/v1/job-types",
        summary="Job types that can be triggered",
        answers=(schemas.JobTypes,),
        errors=(401,),
    ),
    Operation(
        method="get",
        path="/v1/teams/{team_id}/jobs",
        summary="A team's runs, newest first",
        answers=(schemas.RunPage,),
        query=(
            ("job_type", "Only runs of this type; an unknown type has none", SEARCHED),
            ("status", "Only runs with this status", TEXT | {"enum": list(STATUSES)}),
            ("project_id", "Only runs of this project", UUID),
            ("since", WINDOW, MOMENT),
            ("until", WINDOW, MOMENT),
            ("cursor", CURSOR, SEARCHED),
            (
                "limit",
                f"Runs per page (default {DEFAULT_LIMIT}); values outside 1 to {MAX_LIMIT} are clamped; large runs "
                "make a page shorter",
                {"type": "integer", "default": DEFAULT_LIMIT},
            ),
            (
                "id_prefix",
                "Only runs whose id begins with these digits: the first five, ordered by id; other filters are ignored",
                TEXT | {"pattern": "^[0-9A-Fa-f]{4,32}$"},
            ),
        ),
    ),
    Operation(
        method="post",
        path="/v1/teams/{team_id}/jobs/trigger",
        summary="Start a run",
        answers=(schemas.RunEnvelope,),
        status=201,
        bodies=bodies.TRIGGERS,
        errors=(400, 401, 403, 404, 409, 422),
        makes_a_run=True,
    ),
    Operation(method="get", path="/v1/jobs/{run_id}", summary="A run", answers=(schemas.RunEnvelope,)),
    Operation(
        method="get",
        path="/v1/jobs/{run_id}/timeline",
        summary="A run's slices, and why it is not making progress",
        answers=(schemas.Timeline,),
    ),
    Operation(method="post", path="/v1/jobs/{run_id}/cancel", summary="Cancel a run", answers=(schemas.Cancelled,)),
    Operation(
        method="post",
        path="/v1/jobs/{run_id}/rerun",
        summary="Rerun an ended run",
        answers=(schemas.RunEnvelope,),
        status=201,
        bodies=(bodies.RerunBody,),
        errors=(400, 401, 403, 404, 409, 422),
        makes_a_run=True,
    ),
)
ANYWHERE = (413, 429, 500, 503)
REASONS = {
    400: "A field is malformed; the error names it and its value",
    401: "The credentials are missing or not valid",
    403: "A permission or a role is missing",
    404: "Not found, or not visible to the caller",
    409: "A run of this type is already pending or running",
    413: "The request body has more than 65,536 bytes",
    422: "The Idempotency-Key was already used with another request",
    429: "Too many concurrent requests, or more runs within a minute than a team may start; try again later",
    500: "Internal error",
    503: "The database or the identity provider is unreachable",
}
# Headers of error responses.
HEADERS = {
    401: {"WWW-Authenticate": {"description": "How to sign in (RFC 6750)", "schema": TEXT}},
    429: {
        "Retry-After": {
            "description": "Seconds until the team may start a run again; missing when API Gateway itself throttles",
            "schema": {"type": "integer"},
        }
    },
}


@lru_cache(maxsize=8)
def text(base_path: str = "") -> str:
    """Return the document as served below the base path of a custom domain; it is built once."""
    return json.dumps(document() | ({"servers": [{"url": base_path}]} if base_path else {}))


def document() -> dict[str, Any]:
    """Build the OpenAPI 3.1 document."""
    models = {model for operation in OPERATIONS for model in operation.answers}
    asked = {body for operation in OPERATIONS for body in operation.bodies}
    errors: set[type[BaseModel]] = {schemas.Error, schemas.Throttled}
    ordered = sorted(models | asked | errors, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Nightshift", "version": __version__, "description": "Background jobs with progress."},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An agent key or a user's JWT"}
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    in_path = re.findall(r"{(\w+)}", operation.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": UUID} for name in in_path] + [
        {"name": name, "in": "query", "description": description, "schema": schema}
        for name, description, schema in operation.query
    ]
    if operation.makes_a_run:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Repeating the request within 24 hours returns the run it started, in its current state",
                "schema": TEXT | {"maxLength": MAX_IDEMPOTENCY_KEY, "pattern": PRINTABLE},
            }
        )
    answer = {"description": operation.summary, "content": _any_of(*operation.answers)}
    errors = {
        str(status): {"description": REASONS[status], "content": _any_of(*_errors(operation, status))}
        | ({"headers": HEADERS[status]} if status in HEADERS else {})
        for status in (*operation.errors, *ANYWHERE)
    }
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": re.sub(r"\W+", "_", f"{operation.method}{operation.path.removeprefix('/v1')}").strip("_"),
        "parameters": parameters,
        "responses": {str(operation.status): answer} | errors,
    }
    if operation.bodies:
        needed = all(any(field.is_required() for field in body.model_fields.values()) for body in operation.bodies)
        described["requestBody"] = {"content": _any_of(*operation.bodies), "required": needed}
    if operation.path == "/v1/health":
        described["security"] = []
    return described


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _errors(operation: Operation, status: int) -> tuple[type[BaseModel], ...]:
    """Return the models of an error. A 429 may come from our function, or from API Gateway before it."""
    if status != 429:
        return (schemas.Error,)
    return (schemas.Error, schemas.Throttled) if operation.makes_a_run else (schemas.Throttled,)


def _any_of(*models: type[BaseModel]) -> dict[str, Any]:
    refs = [_ref(model) for model in models]
    return {"application/json": {"schema": refs[0] if len(refs) == 1 else {"anyOf": refs}}}
