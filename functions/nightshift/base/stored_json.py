"""JSON that Postgres stores exactly as the job wrote it, and errors for values that it cannot store."""

import json
import math
from typing import Any

from nightshift.base.errors import JobError
from nightshift.base.masking import masked

# Deeper nesting than any record needs; Postgres and Python each stop a little above a thousand.
MAX_DEPTH = 100
# Bits of a whole number, about 900 digits. Python reads at most 4,300 digits back from JSON.
MAX_BITS = 3_000

# From this value on, json writes floats with an exponent, which Postgres stores as the whole number they denote.
WITH_EXPONENT = 1e16

# Expressions that make a value storable, by the name of its type.
AS_TEXT = {
    "date": "value.isoformat()",
    "datetime": "value.isoformat()",
    "time": "value.isoformat()",
    "Decimal": "str(value)",
    "UUID": "str(value)",
    "bytes": "value.hex()",
    "set": "sorted(value)",
    "frozenset": "sorted(value)",
}


def storable(name: str, value: object, *, max_bytes: int) -> str:
    """Return the JSON text that is stored for ``value``.

    Raises JobError for a value that JSON or Postgres cannot store, with its place (``Progress.cursor['seen'][2]``) and
    type, and for text of more than ``max_bytes`` in UTF-8, with its size.
    """
    _check(name, value, depth=0)
    text = json.dumps(value, ensure_ascii=False)
    if "e+" in text:
        text = json.dumps(json.loads(text, parse_float=_kept), ensure_ascii=False)
    size = len(text.encode())
    if size > max_bytes:
        raise JobError(f"{name} is {size:,} bytes long; the limit is {max_bytes:,}. Store less in it")
    return text


def shown(value: object) -> str:
    """Return the value's type and the beginning of its repr without secrets, for an error message. Never raises."""
    try:
        # Masked before it is cut: a part of a secret is not recognised.
        text = masked(repr(value))
    except Exception:
        return type(value).__name__
    return f"{type(value).__name__} {text[:100] + '…' if len(text) > 100 else text}"


def _kept(digits: str) -> float:
    """Read a float, and a large one as the whole number that it equals: 1e23 is 99999999999999991611392, not 10**23."""
    number = float(digits)
    return number if abs(number) < WITH_EXPONENT else int(number)


def _check(place: str, value: Any, *, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise JobError(f"{place[:200]} is nested deeper than {MAX_DEPTH} levels. Flatten it")
    match value:
        case None | bool():
            pass
        case str():
            _check_text(place, value)
        case int():
            if value.bit_length() > MAX_BITS:
                raise JobError(f"{place} is a whole number of more than 900 digits. Store it as text")
        case float():
            if not math.isfinite(value):
                raise JobError(f"{place} is {value}, which JSON cannot represent. Store None or text instead")
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise JobError(f"{place} has the key {shown(key)}, but JSON keys are text. Use str(key)")
                _check_text(f"a key of {place}", key)
                _check(f"{place}[{key[:40]!r}]", item, depth=depth + 1)
        case list() | tuple():
            for number, item in enumerate(value):
                _check(f"{place}[{number}]", item, depth=depth + 1)
        case _:
            kind = type(value).__name__
            form = AS_TEXT.get(kind, "text, numbers, lists and dicts")
            raise JobError(f"{place} is a {kind}, which JSON cannot represent. Store {form}")


def _check_text(place: str, text: str) -> None:
    if "\x00" in text:
        raise JobError(f"{place} contains a NUL character, which Postgres cannot store. Remove it")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise JobError(f"{place} contains an unpaired surrogate, which is not valid text. Remove it")
