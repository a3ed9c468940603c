"""An answer as it leaves: the headers that every answer carries, and compressed for clients that take it so."""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

from nightshift.errors import Refused, Unauthorized

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
HSTS = {"Strict-Transport-Security": "max-age=31536000"}

# Refusals of a request that carried no token. RFC 6750, section 3.1: these name no error in their challenge.
WITHOUT_TOKEN = ("Missing authorization", "Invalid authorization format")

# Below this a compressed body costs more time than its bytes are worth.
COMPRESSED_FROM_BYTES = 1024
LEVEL = 6


def finished(answer: dict[str, Any], *, method: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """The resolver's answer, made ready for API Gateway; ``asked`` are the request's headers in small letters."""
    body: str = answer["body"]
    encrypted = HSTS if asked.get("x-forwarded-proto") == "https" else {}
    answer = answer | {"headers": answer["headers"] | HEADERS | encrypted}
    if method == "HEAD":
        return answer | {"body": ""}
    if len(body) < COMPRESSED_FROM_BYTES or not takes_gzip(asked.get("accept-encoding", "")):
        return answer
    return answer | {
        "headers": answer["headers"] | {"Content-Encoding": "gzip"},
        "body": base64.b64encode(_gzip(body.encode())).decode(),
        "isBase64Encoded": True,
    }


def headers_of(exc: Refused) -> dict[str, str]:
    """What a refusal says beside its sentence: how to sign in, or when to come back."""
    if isinstance(exc, Unauthorized):
        return {"WWW-Authenticate": _challenge(str(exc))}
    if "retry_after_s" in exc.extra:
        return {"Retry-After": str(exc.extra["retry_after_s"])}
    return {}


def takes_gzip(accept_encoding: str) -> bool:
    """RFC 9110, section 12.5.3: a coding that is named decides for itself, and ``*`` for those that are not."""
    weights = {}
    for each in accept_encoding.lower().split(","):
        coding, _, weight = each.partition(";")
        weights[coding.strip()] = weight.replace(" ", "").removeprefix("q=")
    accepted = weights.get("gzip", weights.get("*"))
    return accepted == "" or bool(accepted and accepted.strip("0."))


def _challenge(sentence: str) -> str:
    challenge = 'Bearer realm="nightshift"'
    if sentence in WITHOUT_TOKEN:
        return challenge
    return f'{challenge}, error="invalid_token", error_description="{sentence}"'


def _gzip(content: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return compressor.compress(content) + compressor.flush()
