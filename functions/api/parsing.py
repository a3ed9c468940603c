"""Parse the values of a request. Each error names the field and the value it got."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from nightshift.base.errors import Refused
from nightshift.base.validation import UNSTORABLE, clipped, parse_uuid, shown

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
# Maximum number of projects, teams or members in one response.
MAX_LISTED = 1000
MAX_SEARCH = 100
# Ids in one query. API Gateway takes about 10 KB of request line and headers.
MAX_IDS = 100
MAX_IDEMPOTENCY_KEY = 255
MAX_BODY_BYTES = 65_536
# Levels of objects and lists in a body: far more than any request needs, far fewer than Python or Postgres can handle.
MAX_DEPTH = 32
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_optional_uuid(field: str, value: object) -> str | None:
    return None if value is None else parse_uuid(field, value)


def parse_ids(field: str, value: str) -> list[str]:
    """Return the UUIDs in a list that is separated by commas."""
    ids = value.split(",")
    if len(ids) > MAX_IDS:
        raise Refused(f"{field} must have at most {MAX_IDS} ids, got {len(ids)}")
    return [parse_uuid(field, id_) for id_ in ids]


def parse_choice(field: str, value: str | None, choices: tuple[str, ...]) -> str | None:
    if value is None or value in choices:
        return value
    raise Refused(f"{field} must be one of {', '.join(choices)}, got {shown(value)}")


def parse_limit(value: str | None, *, default: int = DEFAULT_LIMIT, most: int = MAX_LIMIT) -> int:
    """Return the number of rows per page, clamped to 1 to ``most``."""
    if value is None:
        return default
    # "+5" arrives as " 5" if the client did not encode the plus sign.
    if re.fullmatch(r"[+-]?[0-9]+", value.strip(), re.ASCII):
        # As a float, a number of any length can be read: it becomes infinite at worst.
        return int(min(most, max(1.0, float(value))))
    raise Refused(f"limit must be a whole number from 1 to {most}, got {shown(value)}")


def parse_count(field: str, value: str | None) -> int | None:
    """Return the whole number of 0 or more."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,18}", value, re.ASCII):
        return int(value)
    raise Refused(f"{field} must be a whole number of 0 or more, got {shown(value)}")


def parse_search(value: str | None) -> str | None:
    """Return the search text; empty text means no search."""
    if value is not None and len(value) > MAX_SEARCH:
        raise Refused(f"q must have at most {MAX_SEARCH} characters, got {shown(value)}")
    return value or None


def body_size(body: str | None, *, base64_encoded: bool) -> int:
    """Return the size of the body in bytes, as the client sent it."""
    if base64_encoded:
        return len(body or "") * 3 // 4
    return len((body or "").encode("utf-8", "surrogatepass"))


def parse_moment(field: str, value: str | None, *, now: datetime) -> datetime | None:
    """Parse ISO 8601 (UTC if it has no time zone), or a time before now: ``30s``, ``30m``, ``1h``, ``7d``, ``2w``."""
    if value is None:
        return None
    try:
        if relative := re.fullmatch(r"([0-9]{1,9})([smhdw])", value, re.ASCII):
            return now - timedelta(**{UNITS[relative[2]]: int(relative[1])})
        # The "+" of a time zone arrives as a space if the client did not encode it.
        moment = datetime.fromisoformat(re.sub(r" (?=\d\d:?\d\d$)", "+", value))
        return in_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise Refused(f"{field} must be ISO 8601 or relative like 30m, 1h, 7d, got {shown(value)}") from None


def in_utc(moment: datetime) -> datetime:
    """Convert to UTC. If the zone's offset leads beyond the range of datetime, return its first or last moment."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        edge = datetime.min if moment.year == datetime.min.year else datetime.max
        return edge.replace(tzinfo=UTC)


def parse_cursor(value: str | None) -> tuple[datetime, str] | tuple[None, None]:
    """Parse ``<created_at>|<id>``, the cursor that a list returned."""
    if value is None:
        return None, None
    created_at, _, run_id = value.partition("|")
    try:
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None or moment.microsecond % 1000:
            raise ValueError("not a cursor of a list")
        return moment.astimezone(UTC), parse_uuid("cursor", run_id)
    except (ValueError, OverflowError, Refused):
        raise Refused(f"cursor must be one that a list returned, got {shown(value)}") from None


def parse_body(text: str | None) -> dict[str, Any]:
    """Parse the JSON object in the body. An empty body is an empty object. Windows tools may add a byte order mark."""
    text = (text or "").removeprefix("\ufeff")
    if not text.strip():
        return {}
    try:
        body = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise Refused(f"The body must be JSON in UTF-8, got {shown(text)}") from None
    if not isinstance(body, dict):
        raise Refused(f"The body must be a JSON object, got {shown(body)}")
    _require_storable(body)
    return body


def parse_idempotency_key(value: str | None) -> str | None:
    if value is None or (0 < len(value) <= MAX_IDEMPOTENCY_KEY and value.isprintable()):
        return value
    raise Refused(f"Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} printable characters, got {shown(value)}")


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are Python's, not JSON's


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise Refused(f"The body contains a number that is too large: {clipped(digits)}")
    return number


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse repeated fields: JSON parsers differ in which of them they take."""
    made = dict(pairs)
    if len(made) < len(pairs):
        seen = set[str]()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Refused(f"The body must name each field once, got {shown(twice)} twice")
    return made


def _require_storable(body: dict[str, Any]) -> None:
    """Raise Refused for nesting that is too deep, and for text at any depth that Postgres cannot store."""
    waiting: list[tuple[Any, int]] = [(body, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str) and UNSTORABLE.search(value):
            raise Refused(f"The body must not contain NUL characters or broken surrogate pairs, got {shown(value)}")
        if isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                raise Refused(f"The body must not be nested more than {MAX_DEPTH} levels deep")
            inside = [*value, *value.values()] if isinstance(value, dict) else value
            waiting += [(each, depth + 1) for each in inside]
