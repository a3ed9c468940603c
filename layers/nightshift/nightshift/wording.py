"""Values in words, for people: numbers, sizes, durations, moments, and one line of anybody's text."""

from datetime import UTC, datetime
from typing import Any

UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def one_line(text: str, *, longest: int) -> str:
    """Without line breaks, control characters and what turns the direction of writing; cut with an ellipsis."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def lines(text: str) -> str:
    """As ``one_line``, but its lines stay lines."""
    return "\n".join(one_line(line, longest=len(line) or 1) for line in text.splitlines()).strip()


def number(value: float) -> str:
    """``1,234,567`` or ``0.25``."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def size(count: float) -> str:
    """Bytes, in the units Postgres calls kB, MB and GB: powers of 1,024."""
    if abs(count) < 1024:
        return f"{number(count)} bytes"
    for unit in ("kB", "MB", "GB"):
        count /= 1024
        if abs(count) < 1024:
            return f"{number(round(count, 1))} {unit}"
    return f"{number(round(count / 1024, 1))} TB"


def duration(seconds: float) -> str:
    """The two largest units, for a letter: ``3 min 12 s``, ``1 d 4 h``."""
    if seconds < 1:
        return "less than a second"
    left, parts = int(seconds), list[str]()
    for unit, length in UNITS:
        if left >= length or parts:
            parts.append(f"{left // length} {unit}" if left >= length else "")
            left %= length
    return " ".join(part for part in parts[:2] if part)


def short_duration(seconds: float) -> str:
    """The largest unit alone, for tables and reports of a line: ``12 min``, ``1 d``, ``0 s`` for what is negative."""
    for unit, length in UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%d %b %Y, %H:%M:%S} UTC".removeprefix("0")


def timestamp(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds and Z."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def label(key: str) -> str:
    """``freed_bytes`` → ``Freed``, ``bytes`` → ``Size``; the unit is in the value then."""
    kept = [word for word in key.removesuffix("_s").split("_") if word != "bytes"]
    words = one_line(" ".join(kept) or "size", longest=60)
    return words[:1].upper() + words[1:]


def value(key: str, of: Any, *, longest: int = 300) -> str:
    """A scalar of a result, in the unit that its key names (``bytes`` as one of its words, or ``_s`` at its end)."""
    match of:
        case None:
            return "—"
        case bool():
            return "yes" if of else "no"
        case int() | float() if "bytes" in key.split("_"):
            return size(of)
        case int() | float() if key.endswith("_s"):
            return duration(of)
        case int() | float():
            return number(of)
        case _:
            return one_line(str(of), longest=longest)
