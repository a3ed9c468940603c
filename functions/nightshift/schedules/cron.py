"""Cron expressions with five fields (as people write them) and six (for EventBridge), and their slots.

Both are parsed into sets of values and written from these, so that croniter and EventBridge never interpret one text
differently. Cron counts weekdays from 0 and EventBridge from 1; croniter reads the range ``1-1`` as ``*``; cron joins
its two day fields with "or", while EventBridge requires ``?`` in one of them, and its documentation does not mention
``SAT-SUN``. Certain mistakes are refused with an error.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from nightshift.base.errors import ConfigurationError

if TYPE_CHECKING:
    from croniter import croniter

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class BadCron(ConfigurationError):
    """The cron expression cannot be used"""


@dataclass(frozen=True)
class Cron:
    """The values of each field. Weekdays count from Sunday = 0. At most one of the two day fields excludes days."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @property
    def five_fields(self) -> str:
        """The expression for croniter: ``0 3 * * MON-FRI``."""
        return " ".join((*self._common, _written(self.weekdays, _WEEKDAY)))

    @property
    def eventbridge(self) -> str:
        """The expression for EventBridge: ``cron(0 3 ? * MON-FRI *)``."""
        minutes, hours, days, months = self._common
        weekdays = _written(self.weekdays, _WEEKDAY)
        days, weekdays = ("?", weekdays) if weekdays != "*" else (days, "?")
        return f"cron({minutes} {hours} {days} {months} {weekdays} *)"

    def slot_at(self, moment: datetime) -> datetime:
        """Return the last slot at or before ``moment``."""
        return self._iterator(moment.replace(second=0, microsecond=0) + timedelta(minutes=1)).get_prev(datetime)

    def slots_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the slots after ``moment``, endlessly."""
        iterator = self._iterator(moment)
        while True:
            yield iterator.get_next(datetime)

    @property
    def longest_gap(self) -> timedelta:
        """The longest time between two slots, within four years (a 29 February may take eight years, around 2100)."""
        return max(self._gaps(max))

    @property
    def shortest_gap(self) -> timedelta:
        """The shortest time between two slots, within four years."""
        return min(self._gaps(min))

    def _gaps(self, of_nights: Callable[[Iterator[int]], int]) -> list[timedelta]:
        """Return the times between the slots of one day, and that over the longest or shortest night."""
        times = sorted(60 * hour + minute for hour in self.hours for minute in self.minutes)
        days = [day for day in (_FOUR_YEARS + timedelta(days=count) for count in range(2 * 1461)) if self.is_on(day)]
        nights = of_nights((later - day).days for day, later in pairwise(days))
        gaps = [later - time for time, later in pairwise(times)]
        return [timedelta(minutes=gap) for gap in [*gaps, nights * 1440 + times[0] - times[-1]]]

    def is_on(self, day: date) -> bool:
        """Tell whether the day has slots."""
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    @property
    def _common(self) -> tuple[str, str, str, str]:
        return (
            _written(self.minutes, _MINUTE),
            _written(self.hours, _HOUR),
            _written(self.days, _DAY),
            _written(self.months, _MONTH),
        )

    def _iterator(self, start: datetime) -> "croniter":
        from croniter import croniter  # imported here: most callers never ask for slots

        return croniter(self.five_fields, start)


def from_five_fields(text: str) -> Cron:
    """Parse five fields, or an alias such as ``@daily``. Raises BadCron naming the field and its value."""
    words = text.split()
    if len(words) == 1 and words[0].startswith("@"):
        if words[0].lower() not in ALIASES:
            raise BadCron(f"{words[0]!r} is not a schedule; use one of {', '.join(ALIASES)}, or five fields")
        words = ALIASES[words[0].lower()].split()
    if len(words) != 5:
        raise BadCron(f"A cron expression has five fields, got {text!r}")
    return _cron(text, words, _WEEKDAY)


def from_eventbridge(text: str) -> Cron:
    """Parse ``cron(…)`` with six fields. Raises BadCron for other text, and for L, W, # and years.

    Five fields cannot express these. EventBridge interprets the same text itself, so only syntax that its documentation
    defines is accepted.
    """
    words = text.strip()[5:-1].split() if text.strip().startswith("cron(") and text.strip().endswith(")") else []
    if len(words) != 6:
        raise BadCron(f"A schedule looks like cron(0 3 * * ? *), with six fields, got {text!r}")
    if words[5] != "*":
        raise BadCron(f"The year of a schedule must be *, got {words[5]!r} in {text!r}")
    if (words[2] == "?") == (words[4] == "?"):
        raise BadCron(f"Exactly one of the two day fields of a schedule must be ?, got {text!r}")
    cron = _cron(text, ["*" if word == "?" else word for word in words[:5]], _EVENTBRIDGE_WEEKDAY)
    if wrapped := _wrapped(words[:5]):
        raise BadCron(
            f"EventBridge does not document ranges that end before they begin, such as {wrapped!r} in {text!r}; "
            f"write {cron.eventbridge}"
        )
    return cron


@dataclass(frozen=True)
class _Field:
    name: str
    first: int
    size: int
    names: Sequence[str] = ()
    """Names of the values, starting at ``first``."""
    alias: int | None = None
    """Another number for the first value."""

    @property
    def last(self) -> int:
        return self.first + self.size - 1

    def __str__(self) -> str:
        """Return the valid values as text."""
        numbers = f"{self.first} to {self.last if self.alias is None else self.alias}"
        return f"{numbers} or {self.names[0]} to {self.names[-1]}" if self.names else numbers


_MINUTE = _Field("minute", 0, 60)
_HOUR = _Field("hour", 0, 24)
_DAY = _Field("day", 1, 31)
_MONTH = _Field("month", 1, 12, MONTHS)
_WEEKDAY = _Field("weekday", 0, 7, WEEKDAYS, alias=7)
_EVENTBRIDGE_WEEKDAY = _Field("weekday", 1, 7, WEEKDAYS)
_FIELDS = (_MINUTE, _HOUR, _DAY, _MONTH)

# Any four consecutive years have the same days, except around 2100.
_FOUR_YEARS = date(2024, 1, 1)
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _cron(text: str, words: Sequence[str], weekday: _Field) -> Cron:
    minutes, hours, days, months, weekdays = (
        _values(word, field, text) for word, field in zip(words, (*_FIELDS, weekday), strict=True)
    )
    weekdays = frozenset(value - weekday.first for value in weekdays)
    if len(days) < 31 and len(weekdays) < 7:
        raise BadCron(f"A schedule cannot have both a day and a weekday, got {text!r}")
    if all(min(days) > _LONGEST_MONTHS[month - 1] for month in months):
        raise BadCron(f"No month of {text!r} has that day")
    return Cron(minutes, hours, days, months, weekdays)


def _values(word: str, field: _Field, text: str) -> frozenset[int]:
    """Return the values of a field. Raises BadCron."""
    if word == "*":
        return frozenset(range(field.first, field.last + 1))
    return frozenset(value for part in word.split(",") for value in _part(part, field, text))


def _part(part: str, field: _Field, text: str) -> Iterator[int]:
    """Yield the values of one list item: a value or a range, with or without a step. Ranges may wrap around."""

    def bad(why: str) -> BadCron:
        return BadCron(f"The {field.name} {part!r} of {text!r} {why}")

    span, slash, step_text = part.partition("/")
    first, dash, last = span.partition("-")
    if span == "*" and not slash:
        raise bad("cannot be part of a list: * alone means every value")
    low, high = (field.first, field.last) if span == "*" else (_value(first, field), _value(last or first, field))
    if low is None or high is None or (dash and not last):
        raise bad(_why_unreadable(part, field))
    if span == "*" or dash:
        # 0-7 means a whole week, not one Sunday.
        count = field.size if high - low == field.size else (high - low) % field.size + 1
    else:
        low = field.first + (low - field.first) % field.size
        count = field.last - low + 1 if slash else 1
    step = int(step_text) if step_text.isascii() and step_text.isdigit() and len(step_text) < 5 else 0
    if slash and not step:
        raise bad("must have a step of 1 or more")
    if slash and step >= count:
        raise bad(f"has a step that is never reached: the range has only {count} values")
    for offset in range(0, count, step or 1):
        yield field.first + (low - field.first + offset) % field.size


def _value(end: str, field: _Field) -> int | None:
    if end.upper() in field.names:
        return field.first + field.names.index(end.upper())
    if not (end.isascii() and end.isdigit() and len(end) < 5):
        return None
    return int(end) if field.first <= int(end) <= field.last or int(end) == field.alias else None


def _why_unreadable(part: str, field: _Field) -> str:
    if not part:
        return "is empty (is there an extra comma?)"
    if part == "?":
        return "must be *: ? is valid only in a day field of a six-field schedule"
    if "#" in part or part.upper().strip("0123456789") in ("L", "W", "LW"):
        return "cannot be used: L, W and # mean different days in different months. List the days instead"
    return f"must be {field}, a range such as {field.first}-{field.first + 2}, a step such as */2, or a list of these"


def _wrapped(words: Sequence[str]) -> str | None:
    """Return the first range that ends before it begins in a valid EventBridge schedule, or None."""
    for word, field in zip(words, (*_FIELDS, _EVENTBRIDGE_WEEKDAY), strict=True):
        for part in word.split(","):
            first, dash, last = part.partition("/")[0].partition("-")
            if dash and (_value(first, field) or 0) > (_value(last, field) or 0):
                return part
    return None


def _written(values: frozenset[int], field: _Field) -> str:
    """Return ``*``, or single values and ranges of three or more. Weekdays are named: their numbers differ."""
    if len(values) == field.size:
        return "*"
    parts: list[str] = []
    ordered = sorted(values)
    while ordered:
        length = next((i for i, value in enumerate(ordered) if value != ordered[0] + i), len(ordered))
        run, ordered = (ordered[:length], ordered[length:]) if length > 2 else (ordered[:1], ordered[1:])
        words = [field.names[value] if field is _WEEKDAY else str(value) for value in (run[0], run[-1])]
        parts.append(words[0] if len(run) == 1 else "-".join(words))
    return ",".join(parts)
