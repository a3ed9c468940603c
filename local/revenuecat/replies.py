"""Replies over HTTP: a body with its status, and the API's errors."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

ERROR_TYPES = {
    400: "parameter_error",
    401: "authentication_error",
    403: "authorization_error",
    404: "resource_missing",
    423: "resource_locked_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "server_error",
}
RETRYABLE = {423, 429, 500, 502, 503, 504}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply. ``body`` is sent as JSON; a string is sent as HTML."""

    status: int = 200
    body: dict[str, Any] | str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def error(status: int, message: str, *, param: str | None = None, retry_after_s: int = 1) -> Reply:
    """Return an error in API v2's format. Only retryable statuses carry ``retry_after_s``."""
    body: dict[str, Any] = {
        "object": "error",
        "type": ERROR_TYPES[status],
        "message": message,
        "retryable": status in RETRYABLE,
        "doc_url": f"https://errors.rev.cat/{ERROR_TYPES[status].replace('_', '-')}",
    }
    if param:
        body["param"] = param
    if status in RETRYABLE:
        body["backoff_ms"] = retry_after_s * 1000
    headers = {"Retry-After": str(retry_after_s)} if status == 429 else {}
    return Reply(status=status, body=body, headers=headers)


def proxy_page(status: int) -> Reply:
    """Return the HTML error of the proxy in front of the service, sent when the service does not answer."""
    title = f"{status} {HTTPStatus(status).phrase}"
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>"
    return Reply(status=status, body=page)
