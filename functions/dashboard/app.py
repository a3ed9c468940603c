"""The dashboard: a page and its assets, the same for every visitor. The page loads its data from the API.

This function has no database, no secrets and no permissions, so an attacker gains nothing from it.
"""

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

STATIC = Path(__file__).parent / "static"
PAGE = "index.html"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# A comment on lines of its own, in the style sheet and in our scripts.
COMMENT = re.compile(rb"^ *(?://.*|/\*(?s:.*?)\*/)$", re.MULTILINE)

# From the page to the root of the stack's paths. Relative, so that it also works below a custom domain's base path.
VIEWS = ("", "runs", "schedules", "team", "confirm")
ROOTS = {f"GET /{view}": "./" for view in VIEWS} | {"GET /runs/{run_id}": "../"}

# An asset's address holds the version, so browsers may keep it for ever. They revalidate the page, mostly with a 304.
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"

HEADERS = {
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
# A weight of 0 refuses gzip.
GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)

HSTS = {"strict-transport-security": "max-age=31536000"}


@dataclass(frozen=True)
class File:
    content: bytes
    content_type: str

    @cached_property
    def etag(self) -> str:
        # Weak, because the plain and the compressed file share it.
        return f'W/"{_digest(self.content)}"'

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.content, 9, mtime=0)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in event["headers"].items()}
    encrypted = HSTS if headers.get("x-forwarded-proto") == "https" else {}
    common = HEADERS | encrypted
    path = event.get("rawPath", "/")
    if event["routeKey"] == "GET /" and not path.endswith("/"):
        # The base path of a custom domain without a final slash, such as /jobs: the page's relative addresses would
        # resolve outside it.
        below = f"./{quote(path.rpartition('/')[2])}/"
        query = f"?{event['rawQueryString']}" if event.get("rawQueryString") else ""
        return {"statusCode": 308, "headers": common | {"location": below + query, "cache-control": ASK_AGAIN}}
    root = ROOTS.get(event["routeKey"])
    file = page(root) if root else None
    caching = ASK_AGAIN
    if file is None:
        of_version, _, name = event["pathParameters"]["path"].partition("/")
        file = assets().get(name)
        if file is None:
            told = {"content-type": "text/plain", "cache-control": "no-store"}
            return {"statusCode": 404, "headers": common | told, "body": "Not found\n"}
        # A page of another release may still be loading: it gets this release's file, and must not cache it.
        caching = FOR_EVER if of_version == version() else "no-store"
    common |= {"cache-control": caching, "etag": file.etag, "vary": "accept-encoding"}
    if _knows(headers.get("if-none-match", ""), file.etag):
        return {"statusCode": 304, "headers": common}
    common["content-type"] = file.content_type
    if not GZIP.search(headers.get("accept-encoding", "")):
        return {"statusCode": 200, "headers": common, "body": file.content.decode()}
    return {
        "statusCode": 200,
        "headers": common | {"content-encoding": "gzip"},
        "body": base64.b64encode(file.compressed).decode(),
        "isBase64Encoded": True,
    }


@cache
def page(root: str) -> File:
    text = (STATIC / PAGE).read_text()
    return File(text.replace("{assets}", f"{root}assets/{version()}").encode(), TYPES[".html"])


@cache
def assets() -> dict[str, File]:
    """Return the assets by their path below static/. No other file is ever served."""
    return {
        str(path.relative_to(STATIC)): File(without_comments(path), TYPES[path.suffix])
        for path in sorted(STATIC.rglob("*"))
        if path.suffix in TYPES and path.name != PAGE
    }


def without_comments(path: Path) -> bytes:
    """Blank out comments, so that errors still name the source's line. Other authors' files keep their notices."""
    content = path.read_bytes()
    if path.suffix not in (".js", ".css") or path.parent != STATIC:
        return content
    return COMMENT.sub(lambda comment: b"\n" * comment[0].count(b"\n"), content)


@cache
def version() -> str:
    """Return one digest of all assets: they import each other by relative addresses, so a change moves them all."""
    return _digest(b"".join(name.encode() + file.content for name, file in assets().items()))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _knows(if_none_match: str, etag: str) -> bool:
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return "*" in known or etag.removeprefix("W/") in known
