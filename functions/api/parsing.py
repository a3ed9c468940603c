"""Values out of a request, each with an error that names the field and what it got."""

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from nightshift.errors import Refused
from nightshift.validation import refusal, shown

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
MAX_IDEMPOTENCY_KEY = 255
# An escaped NUL, which JSON may hold and Postgres may not; behind an even number of backslashes it is one.
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def uuid_of(field: str, value: object) -> str:
    """The id in its canonical spelling."""
    try:
        if isinstance(value, str) and len(value) == 36:
            return str(uuid.UUID(value))
    except ValueError:
        pass
    raise Refused(f"{field} must be a UUID, got {shown(value)}")


def optional_uuid(field: str, value: object) -> str | None:
    return None if value is None else uuid_of(field, value)


def one_of(field: str, value: str | None, choices: tuple[str, ...]) -> str | None:
    if value is None or value in choices:
        return value
    raise Refused(f"{field} must be one of {', '.join(choices)}, got {shown(value)}")


def parse_name(field: str, value: str | None) -> str | None:
    """Any name, also one that does not exist; without the characters that Postgres cannot hold."""
    if value is None or value.isprintable():
        return value
    raise Refused(f"{field} must be printable characters, got {shown(value)}")


def limit_of(value: str | None) -> int:
    """The number of runs to a page: what lies outside of 1 to 200 counts as the nearer of both."""
    if value is None:
        return DEFAULT_LIMIT
    # "+5" arrives as " 5" where the client did not encode it.
    if re.fullmatch(r"[+-]?[0-9]+", value.strip(), re.ASCII):
        # As a float: a number of any length is read, and is infinite at worst.
        return int(min(MAX_LIMIT, max(1.0, float(value))))
    raise Refused(f"limit must be a whole number from 1 to {MAX_LIMIT}, got {shown(value)}")


def moment_of(field: str, value: str | None, *, now: datetime) -> datetime | None:
    """ISO 8601 (UTC where it names no zone), or relative to now: ``30s``, ``30m``, ``1h``, ``7d``, ``2w``."""
    if value is None:
        return None
    try:
        if relative := re.fullmatch(r"([0-9]{1,9})([smhdw])", value, re.ASCII):
            return now - timedelta(**{UNITS[relative[2]]: int(relative[1])})
        # A "+" of a zone that the client did not encode arrives as a space.
        moment = datetime.fromisoformat(re.sub(r" (?=\d\d:?\d\d$)", "+", value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(f"{field} must be ISO 8601 or relative like 30m, 1h, 7d, got {shown(value)}") from None


def cursor_of(value: str | None) -> tuple[datetime, str] | tuple[None, None]:
    """``<created_at>|<id>``, as the list gave it out."""
    if value is None:
        return None, None
    created_at, _, run_id = value.partition("|")
    try:
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None or moment.microsecond % 1000:
            raise ValueError("not a cursor of ours")
        return moment.astimezone(UTC), uuid_of("cursor", run_id)
    except (ValueError, OverflowError, Refused):
        raise Refused(f"cursor must be one that a list returned, got {shown(value)}") from None


def body_of(text: str | None) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object. Editors and tools of Windows put a mark first."""
    text = (text or "").removeprefix("\ufeff")
    if not text.strip():
        return {}
    try:
        body = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(f"The body must be JSON in UTF-8, got {shown(text)}") from None
    if not isinstance(body, dict):
        raise Refused(f"The body must be a JSON object, got {shown(body)}")
    if NUL.search(text):
        raise Refused("The body must not contain NUL characters (\\u0000)")
    return body


def validated(model: "type[Model]", value: object, *, prefix: str = "") -> "Model":
    """Raises Refused with the first field that is wrong."""
    from pydantic import ValidationError

    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise Refused(refusal(exc, prefix=prefix, model=model)) from None


def idempotency_key_of(headers: Mapping[str, str]) -> str | None:
    value = next((v for k, v in headers.items() if k.lower() == "idempotency-key"), None)
    if value is None or (0 < len(value) <= MAX_IDEMPOTENCY_KEY and value.isprintable()):
        return value
    raise Refused(f"Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} printable characters, got {shown(value)}")


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are Python's, not JSON's
