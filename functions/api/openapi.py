"""The OpenAPI document: this table and the models in bodies.py and schemas.py, nothing written by hand beside them."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import bodies
import schemas
from nightshift import __version__
from nightshift.runs import STATUSES

TEXT = {"type": "string"}
UUID = TEXT | {"format": "uuid"}
CURSOR = ("cursor", "The cursor of the page before", TEXT)
WINDOW = "ISO 8601, or relative to now: 30m, 1h, 7d"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One endpoint. ``answers`` are the models a 2xx may carry, ``errors`` the statuses with an Error.

    ``query`` holds names, what they say, and schemas.
    """

    method: str
    path: str
    summary: str
    answers: tuple[type[BaseModel], ...]
    status: int = 200
    body: type[BaseModel] | None = None
    query: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    errors: tuple[int, ...] = (400, 401, 403, 404)
    idempotent: bool = False


OPERATIONS = (
    Operation(method="get", path="/v1/health", summary="Is it up", answers=(schemas.Health,), errors=()),
    Operation(
        method="get",
        path="/v1/auth/whoami",
        summary="Who am I, and in which teams",
        answers=(schemas.ApiKeyIdentity, schemas.UserIdentity),
        errors=(401,),
    ),
    Operation(
        method="get",
        path="/v1/projects",
        summary="Projects of the teams I manage",
        answers=(schemas.Projects,),
        query=(("team_id", "Only this team's", UUID),),
        errors=(400, 401, 403),
    ),
    Operation(method="get", path="/v1/projects/{project_id}", summary="A project", answers=(schemas.ProjectWithApps,)),
    Operation(
        method="get",
        path="/v1/teams/{team_id}/members",
        summary="People and keys of a team",
        answers=(schemas.Members,),
    ),
    Operation(
        method="get",
        path="/v1/job-types",
        summary="What can be triggered",
        answers=(schemas.JobTypes,),
        errors=(401,),
    ),
    Operation(
        method="get",
        path="/v1/teams/{team_id}/jobs",
        summary="A team's runs, newest first",
        answers=(schemas.RunPage,),
        query=(
            ("job_type", "Only this type", TEXT),
            ("status", "Only this status", TEXT | {"enum": list(STATUSES)}),
            ("project_id", "Only this project", UUID),
            ("since", WINDOW, TEXT),
            ("until", WINDOW, TEXT),
            CURSOR,
            (
                "limit",
                "Runs to a page: 1 to 200, or else 50",
                {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
            ),
            (
                "id_prefix",
                "Only the first five whose id begins with these digits, by id; stands alone",
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
        body=bodies.TriggerBody,
        errors=(400, 401, 403, 404, 409, 422),
        idempotent=True,
    ),
    Operation(method="get", path="/v1/jobs/{run_id}", summary="A run", answers=(schemas.RunEnvelope,)),
    Operation(
        method="get",
        path="/v1/jobs/{run_id}/timeline",
        summary="What a run did, and why it is not moving",
        answers=(schemas.Timeline,),
    ),
    Operation(method="post", path="/v1/jobs/{run_id}/cancel", summary="Stop a run", answers=(schemas.Cancelled,)),
    Operation(
        method="post",
        path="/v1/jobs/{run_id}/rerun",
        summary="Run an ended run again",
        answers=(schemas.RunEnvelope,),
        status=201,
        body=bodies.RerunBody,
        errors=(400, 401, 403, 404, 409, 422),
        idempotent=True,
    ),
)
ANYWHERE = (429, 500, 503)
REASONS = {
    400: "A field is malformed; the sentence names it and its value",
    401: "No credentials, or none that are valid",
    403: "A permission or a role is missing",
    404: "Not there, or not yours",
    409: "A run of this type is live already",
    422: "The Idempotency-Key was used with another request",
    429: "Too many requests at once; try again later",
    500: "A fault of ours",
    503: "The database, or who vouches for tokens, cannot be reached",
}


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    models = {model for operation in OPERATIONS for model in operation.answers}
    bodies = {operation.body for operation in OPERATIONS if operation.body}
    errors: set[type[BaseModel]] = {schemas.Error, schemas.Throttled}
    ordered = sorted(models | bodies | errors, key=lambda model: model.__name__)
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
    if operation.idempotent:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "A repeat within 24 hours returns the first answer's run as it is now",
                "schema": {"type": "string", "maxLength": 255},
            }
        )
    schema = [_ref(answer) for answer in operation.answers]
    answer = {"description": operation.summary, "content": _json(schema[0] if len(schema) == 1 else {"anyOf": schema})}
    errors = {
        str(status): {
            "description": REASONS[status],
            "content": _json(_ref(schemas.Throttled if status == 429 else schemas.Error)),
        }
        for status in (*operation.errors, *ANYWHERE)
    }
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": re.sub(r"\W+", "_", f"{operation.method}{operation.path.removeprefix('/v1')}").strip("_"),
        "parameters": parameters,
        "responses": {str(operation.status): answer} | errors,
    }
    if operation.body:
        described["requestBody"] = {"content": _json(_ref(operation.body))}
    if operation.path == "/v1/health":
        described["security"] = []
    return described


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
