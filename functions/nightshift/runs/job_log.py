"""The lines that a job logs in a slice, until a statement of the slice stores them."""

import json
import math
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from nightshift.base.masking import masked
from nightshift.base.stored_json import shown
from nightshift.base.wording import masked_line, one_line, timestamp

LEVELS = ("debug", "info", "warning", "error")
# Lines that are stored of a run, the newest, and the size of each: two megabytes for a run, which one answer holds.
KEPT_LINES, MAX_LINE_BYTES = 1_000, 2_048
# Characters of a message, of a field's name and of its value.
MAX_MESSAGE, MAX_NAME, MAX_VALUE, MAX_FIELDS = 1_000, 60, 500, 20
# A message of more bytes is cut to so many characters, which fit into a line in every script.
MAX_MESSAGE_BYTES, SHORT_MESSAGE = 1_600, 400
# For the brackets around fields, and the note about those that are left out.
NOTE_BYTES = 60
# Text that is a line already: visible, without space at its ends or in a row.
PLAIN = re.compile(r"[!-~]+( [!-~]+)*")
# Text beyond this is not looked at.
MAX_TEXT = 20_000
# A yield stores lines if the last ones were stored this many seconds ago.
STORED_EVERY_S = 2


class Chunk(NamedTuple):
    """Lines to store: JSON text, and how many lines were logged, some of which may be left out of the text."""

    text: str | None
    logged: int


NOTHING = Chunk(None, 0)


class JobLog:
    """The lines of a slice that are not stored yet. Threads of the job may share it.

    ``clock`` returns seconds. Lines stay here until their statement has committed, so those of a step that is rolled
    back are stored with the slice's end.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._turn = threading.Lock()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._logged = 0
        self._stored_at = -math.inf

    def add(self, level: str, message: object, fields: Mapping[str, object]) -> None:
        """Add a line. Never raises for a value: it is stored as text, cut if it is long."""
        line = line_of(level, message, fields, at=datetime.now(UTC))
        with self._turn:
            self._lines.append(line)
            self._logged += 1

    def due(self) -> Chunk:
        """Return the lines that a yield stores now; nothing if the last ones were stored a moment ago."""
        return self.all() if self._clock() - self._stored_at >= STORED_EVERY_S else NOTHING

    def all(self) -> Chunk:
        """Return all lines that are not stored yet."""
        with self._turn:
            return Chunk(f"[{','.join(self._lines)}]", self._logged) if self._lines else NOTHING

    def stored(self, chunk: Chunk) -> None:
        """Forget the lines of this chunk: they are committed."""
        if chunk is NOTHING:
            return
        with self._turn:
            later = self._logged - chunk.logged
            while len(self._lines) > later:
                self._lines.popleft()
            self._logged = later
        self._stored_at = self._clock()


def line_of(level: str, message: object, fields: Mapping[str, object], *, at: datetime) -> str:
    """Return the line as JSON text of at most MAX_LINE_BYTES. Fields for which there is no room are counted in it."""
    said = clean(message, longest=MAX_MESSAGE)
    if len(_json(said).encode()) > MAX_MESSAGE_BYTES:
        said = one_line(said, longest=SHORT_MESSAGE)
    line = f'{{"at":"{timestamp(at)}","level":"{level}","message":{_json(said)}'
    return (
        f'{line},"fields":{{{_fields(fields, room=MAX_LINE_BYTES - len(line.encode()))}}}}}' if fields else line + "}"
    )


def _fields(fields: Mapping[str, object], *, room: int) -> str:
    kept: list[str] = []
    room -= NOTE_BYTES
    for name, value in fields.items():
        entry = f"{_json(clean(name, longest=MAX_NAME))}:{_json(plain(value))}"
        room -= len(entry.encode()) + 1
        if room < 0 or len(kept) == MAX_FIELDS:
            return ",".join([*kept, f'"…":"{len(fields) - len(kept)} more left out"'])
        kept.append(entry)
    return ",".join(kept)


def plain(value: object) -> object:
    """Return the value of a field: a number, a switch or null as it is, everything else as text."""
    if value is None or isinstance(value, bool):
        return value
    if (isinstance(value, int) and value.bit_length() < 64) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return clean(value, longest=MAX_VALUE)


def clean(value: object, *, longest: int) -> str:
    """Return the value as one line of visible text, without secrets. Never raises."""
    if type(value) is str and len(value) <= longest and PLAIN.fullmatch(value):
        return masked(value)
    return masked_line(masked(_text(value))[:MAX_TEXT], longest=longest)


def _text(value: object) -> str:
    try:
        if isinstance(value, dict | list | tuple):
            return json.dumps(value, ensure_ascii=False, default=str)
        return str(value)
    except Exception:
        return shown(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
