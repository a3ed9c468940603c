"""The OpenAPI document, generated from the operations and the models in bodies.py and schemas.py."""

import json
import re
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import bodies, schemas
from api.browsers import COOKIE
from api.operations import TEXT, UUID, Operation
from api.parsing import MAX_IDEMPOTENCY_KEY
from api.route_table import OPERATIONS
from nightshift import __version__
from nightshift.jobs.registry import PROVIDERS

DOCUMENTED = [operation for operation in OPERATIONS if operation.answer]
# No spaces at either end, because HTTP strips them.
PRINTABLE = "^[!-~]([ -~]*[!-~])?$"
# Parameters in a path that are not an id.
IN_PATH = {
    "provider": TEXT | {"enum": list(PROVIDERS)},
    "session_id": {"anyOf": [UUID, TEXT | {"const": "current"}]},
}
ANYWHERE = (413, 429, 500, 503)
REASONS = {
    400: "A field is malformed; the error names it and its value",
    401: "The credentials are missing or not valid",
    403: "A permission or a role is missing",
    404: "Not found, or not visible to the caller",
    409: "A run of this type is pending or running, or the same thing exists already",
    413: "The request body has more than 65,536 bytes",
    422: "The Idempotency-Key was already used with another request",
    429: "Too many concurrent requests, more runs within a minute than a team may start, or more codes within an hour "
    "than a network may ask for; try again later",
    500: "Internal error",
    503: "The database or the identity provider is unreachable",
}
# Headers of error responses.
HEADERS = {
    401: {"WWW-Authenticate": {"description": "How to sign in (RFC 6750)", "schema": TEXT}},
    429: {
        "Retry-After": {
            "description": "Seconds until the same request may succeed; missing when API Gateway itself throttles",
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
    models: set[type[BaseModel]] = {schemas.Error, schemas.Throttled}
    paths: dict[str, dict[str, Any]] = {}
    for operation in DOCUMENTED:
        models.update(_answers(operation), _bodies(operation))
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Nightshift", "version": __version__, "description": "Background jobs with progress."},
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An agent key, a user's JWT, or a session's token",
                },
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "A session of the dashboard. The request also needs the header X-Nightshift: 1 "
                    "and the dashboard's Origin",
                },
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    in_path = re.findall(r"{(\w+)}", operation.path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": IN_PATH.get(name, UUID)} for name in in_path
    ] + [
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
    answer = {"description": operation.summary, "content": _any_of(*_answers(operation))}
    errors = {
        str(status): {"description": REASONS[status], "content": _any_of(*_errors(operation, status))}
        | ({"headers": HEADERS[status]} if status in HEADERS else {})
        for status in (*sorted({*operation.errors, *((403,) if operation.needs_token else ())}), *ANYWHERE)
    }
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path.removeprefix('/v1')}").strip(
            "_"
        ),
        "parameters": parameters,
        "responses": {str(operation.status): answer} | errors,
    }
    if asked := _bodies(operation):
        needed = all(any(field.is_required() for field in body.model_fields.values()) for body in asked)
        described["requestBody"] = {"content": _any_of(*asked), "required": needed}
    if not operation.needs_token:
        described["security"] = []
    return described


def _answers(operation: Operation) -> tuple[type[BaseModel], ...]:
    return _models(getattr(schemas, str(operation.answer)))


def _bodies(operation: Operation) -> tuple[type[BaseModel], ...]:
    return _models(getattr(bodies, operation.body)) if operation.body else ()


def _models(named: Any) -> tuple[type[BaseModel], ...]:
    """Return the models that a name stands for: one, or the members of a union."""
    return get_args(named) or (named,)


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _errors(operation: Operation, status: int) -> tuple[type[BaseModel], ...]:
    """Return the models of an error. A 429 may come from our function, or from API Gateway before it."""
    if status != 429:
        return (schemas.Error,)
    return (schemas.Error, schemas.Throttled) if operation.makes_a_run or operation.is_limited else (schemas.Throttled,)


def _any_of(*models: type[BaseModel]) -> dict[str, Any]:
    refs = [_ref(model) for model in models]
    return {"application/json": {"schema": refs[0] if len(refs) == 1 else {"anyOf": refs}}}
