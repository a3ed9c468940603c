"""Values in words, for people: numbers, sizes, durations, moments, and one line of anybody's text."""

import json
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

ZWJ = "\u200d"
# What belongs to the character before it, beside combining marks: joiners, the skin tones of emoji, the tags of a flag.
JOINED = {"\u200c", ZWJ, *map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0xE0020, 0xE0080))}
LINE_ENDS = re.compile("[\t-\r\x1c-\x1e\x85\u2028\u2029]+")
# The first group stays: the flag of a region (England's, say) is a black flag with tags that are invisible alone.
UNSEEN = re.compile(
    "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)"
    # Controls, and halves of surrogate pairs, which no encoding takes.
    "|[\x00-\x1f\x7f-\x9f\ud800-\udfff"
    # What is invisible, or turns the direction of the text around it.
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
    # A joiner shapes what stands before it: not at the beginning, and not after ASCII, a blank or another joiner.
    "|(?<![^\x00-\xa0\u2000-\u206f\u3000])[\u200c\u200d]"
)
# From here on (and for what is not finite) a number is no size and no duration.
MOST = 2**80
UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def visible(text: str) -> str:
    """Drop what a reader cannot see: control characters, lone surrogates, zero-width and bidi controls.

    What ends a line becomes a blank. ZWJ and ZWNJ stay where they shape a letter or an emoji.
    """
    if text.isascii() and text.isprintable():
        return text
    return UNSEEN.sub(r"\1", LINE_ENDS.sub(" ", text))


def escaped(text: str) -> str:
    """JSON's own text with escapes for what ``visible`` drops: the value stays what it is."""
    return UNSEEN.sub(lambda unseen: unseen[1] or json.dumps(unseen[0])[1:-1], text)


def one_line(text: str, *, longest: int) -> str:
    """Keep what is visible, with single blanks; cut with an ellipsis between two characters as a reader counts them."""
    line = " ".join(visible(text).split())
    return line if len(line) <= longest else line[: _before(line, longest - 1)].rstrip() + "…"


def _before(line: str, end: int) -> int:
    """The last place up to ``end`` where a cut leaves no letter without its marks and no emoji in half."""
    cut = end
    while cut and (line[cut - 1] == ZWJ or line[cut] in JOINED or unicodedata.category(line[cut])[0] == "M"):
        cut -= 1
    # A text of marks alone is cut anywhere.
    return cut or end


def with_full_stop(text: str) -> str:
    """Add the full stop that is missing, so that another sentence can follow."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…", "。")) else f"{text}."


def lines(text: str) -> str:
    """As ``one_line``, but its lines stay lines."""
    return "\n".join(one_line(line, longest=len(line) or 1) for line in text.splitlines()).strip()


def number(value: float) -> str:
    """``1,234,567`` or ``0.25``: every digit that it has."""
    return f"{value:,}"


def size(count: float) -> str:
    """Bytes, in the units Postgres calls kB, MB and GB: powers of 1,024."""
    rounded, unit, _ = _sized(count)
    return f"{number(rounded).removesuffix('.0')} {unit}"


def _sized(count: float) -> tuple[float, str, int]:
    """The number and the unit that ``size`` says, and how many bytes that unit has."""
    sizes = [(unit, 1024**power) for power, unit in enumerate(("bytes", "kB", "MB", "GB", "TB"))]
    unit, length = next(((unit, length) for unit, length in sizes if abs(count) < 1024 * length), sizes[-1])
    return (count if length == 1 else round(count / length, 1)), unit, length


def duration(seconds: float) -> str:
    """The two largest units, for a letter: ``3 min 12 s``, ``1 d 4 h``."""
    if seconds < 1:
        return "less than a second"
    return " ".join(f"{count} {unit}" for count, unit, _ in _two_units(seconds))


def _two_units(seconds: float) -> list[tuple[int, str, int]]:
    """How many of the two largest units, without one of which there is none, and how long each is."""
    left, parts = int(seconds), list[tuple[int, str, int]]()
    for unit, length in UNITS:
        if left >= length or parts:
            parts.append((left // length, unit, length))
            left %= length
    return [part for part in parts[:2] if part[0]]


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
    split = key.removesuffix("_s").split("_")
    words = one_line(" ".join(word for word in split if word != "bytes"), longest=60)
    words = words or ("size" if "bytes" in split else json.dumps(one_line(key, longest=60)))
    return words[:1].upper() + words[1:]


def value(key: str, of: Any, *, longest: int = 300) -> str:
    """A scalar of a result, in the unit that its key names (``bytes`` as one of its words, or ``_s`` at its end).

    Where the words of that unit are rounded, the number itself stands behind them.
    """
    match of:
        case None:
            return "—"
        case bool():
            return "yes" if of else "no"
        case int() | float() if not abs(of) < MOST:
            return number(of)
        case int() | float() if "bytes" in key.split("_"):
            rounded, _, length = _sized(of)
            return size(of) if rounded * length == of else f"{size(of)} ({number(of)} bytes)"
        case int() | float() if key.endswith("_s"):
            return _seconds(of)
        case int() | float():
            return number(of)
        case "":
            return '""'
        case _:
            return one_line(str(of), longest=longest)


def _seconds(of: float) -> str:
    if of < 1:
        return f"{number(of)} s"
    is_exact = sum(count * length for count, _, length in _two_units(of)) == of
    return duration(of) if is_exact else f"{duration(of)} ({number(of)} s)"
