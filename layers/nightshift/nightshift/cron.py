"""Cron expressions: five fields as everybody writes them, six as EventBridge takes them, and the slots of both.

Both are read into the sets of values that they mean and written from there, so that the two sides never read one text
in two ways: weekdays count from 0 here and from 1 there, croniter takes the range ``1-1`` for ``*``, and cron joins its
two day fields with "or" where EventBridge wants a ``?`` in one of them.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from nightshift.errors import ConfigurationError

if TYPE_CHECKING:
    from croniter import croniter

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class BadCron(ConfigurationError):
    """The cron expression cannot be used"""


@dataclass(frozen=True)
class Cron:
    """The values of each field; weekdays count from Sunday = 0. At most one of the day fields leaves days out."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @property
    def five_fields(self) -> str:
        """As croniter reads it: ``0 3 * * MON-FRI``."""
        return " ".join((*self._common, _written(self.weekdays, _WEEKDAY)))

    @property
    def eventbridge(self) -> str:
        """``cron(0 3 ? * MON-FRI *)``."""
        minutes, hours, days, months = self._common
        weekdays = _written(self.weekdays, _WEEKDAY)
        days, weekdays = ("?", weekdays) if weekdays != "*" else (days, "?")
        return f"cron({minutes} {hours} {days} {months} {weekdays} *)"

    def slot_at(self, moment: datetime) -> datetime:
        """The last slot at or before ``moment``."""
        return self._iterator(moment.replace(second=0, microsecond=0) + timedelta(minutes=1)).get_prev(datetime)

    def slots_after(self, moment: datetime) -> Iterator[datetime]:
        """The slots later than ``moment``, for ever."""
        iterator = self._iterator(moment)
        while True:
            yield iterator.get_next(datetime)

    @property
    def longest_gap(self) -> timedelta:
        """The longest that a slot waits for its next, within four years (a 29 February waits for eight around 2100)."""
        times = sorted(60 * hour + minute for hour in self.hours for minute in self.minutes)
        days = [day for day in (_FOUR_YEARS + timedelta(days=count) for count in range(2 * 1461)) if self._is_on(day)]
        nights = max((later - day).days for day, later in pairwise(days))
        gaps = [later - time for time, later in pairwise(times)]
        return timedelta(minutes=max([*gaps, nights * 1440 + times[0] - times[-1]]))

    def _is_on(self, day: date) -> bool:
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
        from croniter import croniter  # most paths know a schedule without asking for its slots

        return croniter(self.five_fields, start)


def from_five_fields(text: str) -> Cron:
    """Raises BadCron naming the field and its value."""
    fields = text.split()
    if len(fields) != 5:
        raise BadCron(f"A cron expression has five fields, got {text!r}")
    return _cron(text, fields, _WEEKDAY)


def from_eventbridge(text: str) -> Cron:
    """Raises BadCron for what is not ``cron(…)`` with six fields, and for what five cannot say: L, W, # and years."""
    fields = text.strip()[5:-1].split() if text.strip().startswith("cron(") and text.strip().endswith(")") else []
    if len(fields) != 6:
        raise BadCron(f"A schedule looks like cron(0 3 * * ? *), with six fields, got {text!r}")
    if fields[5] != "*":
        raise BadCron(f"The year of a schedule must be *, got {fields[5]!r} in {text!r}")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise BadCron(f"One of the day fields of a schedule must be ?, and only one, in {text!r}")
    return _cron(text, ["*" if field == "?" else field for field in fields[:5]], _EVENTBRIDGE_WEEKDAY)


@dataclass(frozen=True)
class _Field:
    name: str
    first: int
    last: int
    names: Sequence[str] = ()
    """Names of the values from ``first`` on."""


_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY = _Field("day", 1, 31)
_MONTH = _Field("month", 1, 12, MONTHS)
# Sunday is 0, and 7 too.
_WEEKDAY = _Field("weekday", 0, 7, WEEKDAYS)
_EVENTBRIDGE_WEEKDAY = _Field("weekday", 1, 7, WEEKDAYS)

# Any four years after one another have the same days, but for those around 2100.
_FOUR_YEARS = date(2024, 1, 1)
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _cron(text: str, fields: Sequence[str], weekday: _Field) -> Cron:
    minutes, hours, days, months, weekdays = (
        frozenset(_values(written, field, text))
        for written, field in zip(fields, (_MINUTE, _HOUR, _DAY, _MONTH, weekday), strict=True)
    )
    weekdays = frozenset((value - weekday.first) % 7 for value in weekdays)
    if len(days) < 31 and len(weekdays) < 7:
        raise BadCron(f"A schedule cannot have both a day and a weekday, got {text!r}")
    if all(min(days) > _LONGEST_MONTHS[month - 1] for month in months):
        raise BadCron(f"There is no such day in the months of {text!r}")
    return Cron(minutes, hours, days, months, weekdays)


def _values(written: str, field: _Field, text: str) -> Iterator[int]:
    for part in written.split(","):
        span, slash, step_text = part.partition("/")
        step = int(step_text) if step_text.isascii() and step_text.isdigit() else 0
        first, dash, last = span.partition("-")
        try:
            if slash and not step:
                raise ValueError
            if span == "*":
                # With both 0 and 7 for Sunday a step would count it twice.
                low, high = field.first, field.first + 6 if field.name == "weekday" else field.last
            else:
                low = _value(first, field)
                high = _value(last, field) if dash else field.last if slash else low
        except ValueError:
            raise BadCron(f"The {field.name} {part!r} of {text!r} is not something to be used here") from None
        if low > high:
            raise BadCron(f"The {field.name} {part!r} of {text!r} ends before it begins")
        yield from range(low, high + 1, step or 1)


def _value(word: str, field: _Field) -> int:
    if word.upper() in field.names:
        return field.first + field.names.index(word.upper())
    if not (word.isascii() and word.isdigit() and field.first <= int(word) <= field.last):
        raise ValueError
    return int(word)


def _written(values: frozenset[int], field: _Field) -> str:
    """``*``, or single values and ranges of three or more. Weekdays by name: their numbers differ on the two sides."""
    if len(values) == (7 if field is _WEEKDAY else field.last - field.first + 1):
        return "*"
    parts: list[str] = []
    ordered = sorted(values)
    while ordered:
        length = next((i for i, value in enumerate(ordered) if value != ordered[0] + i), len(ordered))
        run, ordered = (ordered[:length], ordered[length:]) if length > 2 else (ordered[:1], ordered[1:])
        words = [field.names[value] if field is _WEEKDAY else str(value) for value in (run[0], run[-1])]
        parts.append(words[0] if len(run) == 1 else "-".join(words))
    return ",".join(parts)
