"""Text for people: numbers, sizes, durations and times in words, and untrusted text made safe to print."""

import json
import re
import unicodedata
from datetime import UTC, datetime

from nightshift.base.masking import masked

ZWJ = "\u200d"
# Characters that, like combining marks, belong to the preceding one: joiners, skin tones of emoji, tags of a flag.
JOINED = {"\u200c", ZWJ, *map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0xE0020, 0xE0080))}
LINE_ENDS = re.compile("[\t-\r\x1c-\x1e\x85\u2028\u2029]+")
# The first group is kept: a region's flag (for example England's) is a black flag followed by invisible tags.
UNSEEN = re.compile(
    "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)"
    # Control characters, and halves of surrogate pairs, which cannot be encoded.
    "|[\x00-\x1f\x7f-\x9f\ud800-\udfff"
    # Characters that are invisible or change the direction of the surrounding text.
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
    # A joiner affects the preceding character. It is dropped at the beginning, and after ASCII, a space or a joiner.
    "|(?<![^\x00-\xa0\u2000-\u206f\u3000])[\u200c\u200d]"
)
# A number from this size on, or one that is not finite, is not shown as a size or a duration.
MOST = 2**80
UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def visible(text: str) -> str:
    """Drop invisible characters: control characters, lone surrogates, zero-width and bidi controls.

    Line ends become a space. ZWJ and ZWNJ are kept where they shape a letter or an emoji.
    """
    if text.isascii() and text.isprintable():
        return text
    return UNSEEN.sub(r"\1", LINE_ENDS.sub(" ", text))


def escaped(text: str) -> str:
    """Escape, in JSON text, the characters that ``visible`` drops. The JSON value does not change."""
    return UNSEEN.sub(lambda unseen: unseen[1] or json.dumps(unseen[0])[1:-1], text)


def one_line(text: str, *, longest: int) -> str:
    """Return the visible text with single spaces. Cut it with an ellipsis, but never inside a displayed character."""
    line = " ".join(visible(text).split())
    return line if len(line) <= longest else line[: _before(line, longest - 1)].rstrip() + "…"


def masked_line(text: str, *, longest: int) -> str:
    """Return the text without secrets as ``one_line`` does.

    A secret may come together only when invisible characters between its parts are dropped.
    """
    return one_line(masked(one_line(text, longest=len(text) or 1)), longest=longest)


def _before(line: str, end: int) -> int:
    """Return the last place up to ``end`` where a cut splits neither a letter from its marks nor an emoji."""
    cut = end
    while cut and (line[cut - 1] == ZWJ or line[cut] in JOINED or unicodedata.category(line[cut])[0] == "M"):
        cut -= 1
    # A text that consists only of marks is cut anywhere.
    return cut or end


def with_full_stop(text: str) -> str:
    """Add a full stop if it is missing, so that another sentence can follow."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…", "。")) else f"{text}."


def lines(text: str) -> str:
    """Clean each line as ``one_line`` does, but keep the line breaks."""
    return "\n".join(one_line(line, longest=len(line) or 1) for line in text.splitlines()).strip()


def number(value: float) -> str:
    """Return ``1,234,567`` or ``0.25``, with all digits."""
    return f"{value:,}"


def size(count: float) -> str:
    """Return a number of bytes in the units that Postgres calls kB, MB and GB: powers of 1,024."""
    rounded, unit, _ = _sized(count)
    return f"{number(rounded).removesuffix('.0')} {unit}"


def _sized(count: float) -> tuple[float, str, int]:
    """Return the rounded number, its unit, and the number of bytes in that unit."""
    sizes = [(unit, 1024**power) for power, unit in enumerate(("bytes", "kB", "MB", "GB", "TB"))]
    unit, length = next(((unit, length) for unit, length in sizes if abs(count) < 1024 * length), sizes[-1])
    return (count if length == 1 else round(count / length, 1)), unit, length


def duration(seconds: float) -> str:
    """Return the duration in its two largest units, for mails: ``3 min 12 s``, ``1 d 4 h``."""
    if seconds < 1:
        return "less than a second"
    return " ".join(f"{count} {unit}" for count, unit, _ in _two_units(seconds))


def _two_units(seconds: float) -> list[tuple[int, str, int]]:
    """Return count, name and length in seconds of the two largest units; a unit with the count 0 is left out."""
    left, parts = int(seconds), list[tuple[int, str, int]]()
    for unit, length in UNITS:
        if left >= length or parts:
            parts.append((left // length, unit, length))
            left %= length
    return [part for part in parts[:2] if part[0]]


def short_duration(seconds: float) -> str:
    """Return the duration in its largest unit, for tables: ``12 min``, ``1 d``; ``0 s`` for a negative one."""
    for unit, length in UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%d %b %Y, %H:%M:%S} UTC".removeprefix("0")


def timestamp(moment: datetime | None) -> str | None:
    """Return ISO 8601 in UTC with milliseconds and Z."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def label(key: str) -> str:
    """Return a label for a key: ``freed_bytes`` → ``Freed``, ``bytes`` → ``Size``. The value shows the unit."""
    split = key.removesuffix("_s").split("_")
    words = one_line(" ".join(word for word in split if word != "bytes"), longest=60)
    words = words or ("size" if "bytes" in split else json.dumps(one_line(key, longest=60)))
    return words[:1].upper() + words[1:]


def value(key: str, of: object, *, longest: int = 300) -> str:
    """Format a scalar of a result in the unit that its key names: ``bytes`` as one of its words, or ``_s`` at its end.

    If the formatted value is rounded, the exact number follows in parentheses.
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
