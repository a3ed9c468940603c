"""JSON without a rounded number: what no float can hold is a Decimal, and is written as it was read."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

# Python refuses to make an integer of more than 4300 digits.
MOST_DIGITS = 4000
# Every command can show what is not deeper; json itself stops where the interpreter's stack ends.
DEEPEST = 300
INDENT = "  "


def read(text: str | bytes) -> Any:
    """The value. Raises ValueError for what is not JSON, for NaN and Infinity, and for what is nested too deep."""
    try:
        value = json.loads(text, parse_float=_float, parse_int=_int, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    _check_depth(value)
    return value


def write(value: Any, *, indented: bool = False, ascii_only: bool = False) -> str:
    """The JSON text of ``value``: on one line, or each element on a line of its own."""
    return _written(value, "\n" if indented else None, ascii_only)


def _written(value: Any, line: str | None, ascii_only: bool) -> str:
    """``line`` is a line break with the indentation that ``value`` stands at."""
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
        raise ValueError("it holds a number beyond all bounds") from None
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
    raise ValueError("it is nested too deep")
