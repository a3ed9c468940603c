"""Make responses, and finish them: add the headers of every response, compress it, or leave out a known body."""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.shared.cookies import Cookie

from nightshift.base.errors import Refused, Unauthorized

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
HSTS = {"Strict-Transport-Security": "max-age=31536000"}

# Errors for requests without a token. RFC 6750, section 3.1: their challenge must not name an error.
WITHOUT_TOKEN = ("Missing authorization", "Invalid authorization format")

# Compressing a smaller body takes more time than it saves.
COMPRESSED_FROM_BYTES = 1024
LEVEL = 6


def json_response(
    status: int, body: dict[str, Any], headers: dict[str, str] | None = None, *, cookies: Sequence[Cookie] = ()
) -> Response[str]:
    return Response(
        status_code=status,
        content_type="application/json",
        body=json.dumps(body),
        headers=dict(headers or {}),
        cookies=list(cookies),
    )


def more(cursor: str) -> dict[str, Any]:
    """Return the fields that say that a list has more pages."""
    return {"has_more": True, "cursor": cursor} if cursor else {}


def finish(response: dict[str, Any], *, method: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """Prepare the resolver's response for API Gateway; ``asked`` holds the request's headers, names in lower case."""
    body: str = response["body"]
    encrypted = HSTS if asked.get("x-forwarded-proto") == "https" else {}
    response = response | {"headers": response["headers"] | HEADERS | encrypted}
    if method in ("GET", "HEAD") and response["statusCode"] == 200:
        etag = _etag(body)
        response["headers"]["ETag"] = etag
        if _knows(asked.get("if-none-match", ""), etag):
            return response | {"statusCode": 304, "body": ""}
    if method == "HEAD":
        return response | {"body": ""}
    if len(body) < COMPRESSED_FROM_BYTES or not takes_gzip(asked.get("accept-encoding", "")):
        return response
    return response | {
        "headers": response["headers"] | {"Content-Encoding": "gzip"},
        "body": base64.b64encode(_gzip(body.encode())).decode(),
        "isBase64Encoded": True,
    }


def error_headers(exc: Refused) -> dict[str, str]:
    """Return the headers of an error response: how to sign in, or when to try again."""
    if isinstance(exc, Unauthorized):
        return {"WWW-Authenticate": _challenge(str(exc))}
    if "retry_after_s" in exc.extra:
        return {"Retry-After": str(exc.extra["retry_after_s"])}
    return {}


def takes_gzip(accept_encoding: str) -> bool:
    """Tell whether the client accepts gzip. RFC 9110, section 12.5.3: ``*`` covers codings that are not named."""
    weights = {}
    for each in accept_encoding.lower().split(","):
        coding, _, weight = each.partition(";")
        weights[coding.strip()] = weight.replace(" ", "").removeprefix("q=")
    accepted = weights.get("gzip", weights.get("*"))
    return accepted == "" or bool(accepted and accepted.strip("0."))


def _etag(body: str) -> str:
    """Return the tag of a body. It is weak, because the plain and the compressed body share it."""
    return f'W/"{hashlib.sha256(body.encode()).hexdigest()[:16]}"'


def _knows(if_none_match: str, etag: str) -> bool:
    """Tell whether the client has the body of this tag. RFC 9110, section 13.1.2: the comparison is weak."""
    asked = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return not asked.isdisjoint({etag.removeprefix("W/"), "*"})


def _challenge(sentence: str) -> str:
    challenge = 'Bearer realm="nightshift"'
    if sentence in WITHOUT_TOKEN:
        return challenge
    return f'{challenge}, error="invalid_token", error_description="{sentence}"'


def _gzip(content: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return compressor.compress(content) + compressor.flush()
