"""JSON without rounding: a number that a float cannot hold exactly becomes a Decimal, and is written as it was read."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

# Python refuses to make an integer of more than 4300 digits.
MOST_DIGITS = 4000
# Every command can show values up to this depth; json itself fails only when the interpreter's stack is exhausted.
DEEPEST = 300
INDENT = "  "


def read(text: str | bytes) -> Any:
    """Return the value. Raise ValueError for invalid JSON, for NaN and Infinity, and for too deep nesting."""
    try:
        value = json.loads(text, parse_float=_float, parse_int=_int, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_depth(value)
    return value


def write(value: Any, *, indented: bool = False, ascii_only: bool = False) -> str:
    """Return ``value`` as JSON: on one line, or with each element on its own line."""
    return _written(value, "\n" if indented else None, ascii_only)


def _written(value: Any, line: str | None, ascii_only: bool) -> str:
    """Return ``value`` as JSON. ``line`` is a line break followed by the indentation of ``value``."""
    inner = None if line is None else line + INDENT
    match value:
        case dict() if value:
            parts = [
                f"{json.dumps(str(name), ensure_ascii=ascii_only)}: {_written(of, inner, ascii_only)}"
                for name, of in value.items()
            ]
            return _enclosed("{", parts, "}", line)
        case list() | tuple() if value:
            return _enclosed("[", [_written(of, inner, ascii_only) for of in value], "]", line)
        case Decimal():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=ascii_only)


def _enclosed(opening: str, parts: list[str], closing: str, line: str | None) -> str:
    if line is None:
        return opening + ", ".join(parts) + closing
    return opening + line + INDENT + ("," + line + INDENT).join(parts) + line + closing


def _float(text: str) -> float | Decimal:
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise ValueError("it contains a number that is too large") from None
    number = float(text)
    return number if Decimal(repr(number)) == exact else exact


def _int(text: str) -> int | Decimal:
    return int(text) if len(text) <= MOST_DIGITS else Decimal(text)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError("it is nested too deeply")
