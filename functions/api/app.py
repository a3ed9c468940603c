"""The HTTP API. The operations are in the *_routes modules; this is their handler, and the answers to errors."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths

from api.parsing import MAX_BODY_BYTES, body_size
from api.resolver import Resolver
from api.responses import error_headers, finish, json_response
from api.route_table import OPERATIONS
from nightshift.base import metrics
from nightshift.base.errors import (
    MAX_SENTENCE,
    DatabaseBusy,
    DatabaseGone,
    DatabaseReadOnly,
    Refused,
    RowsHidden,
    SignInRefused,
    TooLarge,
    Unavailable,
)
from nightshift.base.logger import logger
from nightshift.base.settings import settings_for
from nightshift.base.validation import clipped

app = Resolver(OPERATIONS)


@logger.inject_lambda_context(clear_state=True, correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@metrics.published
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    request = event["requestContext"]["http"]
    method, headers = request["method"], {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if method == "HEAD":
        # A HEAD response is the GET response without its body.
        event = event | {"requestContext": event["requestContext"] | {"http": request | {"method": "GET"}}}
    return finish(app.resolve(event, context), method=method, asked=headers)


@app.not_found
def not_found(_: NotFoundError) -> Response[str]:
    method, path = app.current_event.http_method, clipped(app.current_event.path)
    methods = app.methods_of(app.current_event.path)
    if method == "OPTIONS" and methods:
        return json_response(200, {"methods": methods}, {"Allow": ", ".join(methods)})
    if methods and method not in methods:
        said = f"{path} does not support {clipped(method)}. Supported methods: {', '.join(methods)}"
        return json_response(405, {"error": said}, {"Allow": ", ".join(methods)})
    return json_response(404, {"error": f"No such endpoint: {clipped(method)} {path}"})


@app.exception_handler(Refused)
def refused(exc: Refused) -> Response[str]:
    return json_response(exc.status, {"error": str(exc)[:MAX_SENTENCE]} | exc.extra, error_headers(exc))


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
    said = {"error": "Something went wrong on our side", "request_id": app.lambda_context.aws_request_id}
    return json_response(500, said)


def _configured(app: Resolver, next_middleware: Callable[[Resolver], Response[str]]) -> Response[str]:
    """Refuse every request if the function lacks a variable. The log names the variable."""
    settings_for("api")
    return next_middleware(app)


def _within_bounds(app: Resolver, next_middleware: Callable[[Resolver], Response[str]]) -> Response[str]:
    """Refuse a body that is too large, before authentication and any other work."""
    size = body_size(app.current_event.body, base64_encoded=bool(app.current_event.is_base64_encoded))
    if size > MAX_BODY_BYTES:
        raise TooLarge(f"The request body has {size:,} bytes. The maximum is {MAX_BODY_BYTES:,}")
    return next_middleware(app)


app.use([_configured, _within_bounds])
