"""Say a cron expression in words: ``At 03:00 on Mondays and Thursdays``."""

from collections.abc import Sequence
from itertools import pairwise

from nightshift.schedules.cron import Cron

WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
# More times than these are said by minutes and hours.
MOST_TIMES = 6


def in_words(cron: Cron) -> str:
    """Return the expression as the beginning of a sentence, without a full stop."""
    days = _days(cron)
    at_times = len(cron.minutes) * len(cron.hours) <= MOST_TIMES
    if at_times and not days:
        days = " every day"
    return (_times(cron) if at_times else _minutes_and_hours(cron)) + days + _months(cron)


def _times(cron: Cron) -> str:
    return "At " + _listed([f"{hour:02}:{minute:02}" for hour in sorted(cron.hours) for minute in sorted(cron.minutes)])


def _minutes_and_hours(cron: Cron) -> str:
    minutes, hours = sorted(cron.minutes), sorted(cron.hours)
    step = _step(minutes, 60)
    if len(minutes) == 60:
        said = "Every minute"
    elif step and minutes[0] == 0:
        said = f"Every {step} minutes"
    elif len(minutes) == 1 and (hour_step := _step(hours, 24)):
        return f"Every {hour_step} hours, from {hours[0]:02}:{minutes[0]:02}"
    elif len(minutes) == 1 and len(hours) == 24:
        return f"Every hour at minute {minutes[0]}"
    else:
        said = f"At the {_plural('minute', minutes)}"
    return said if len(hours) == 24 else f"{said} of the {_plural('hour', hours)}"


def _days(cron: Cron) -> str:
    if len(cron.weekdays) < 7:
        # A week begins on Monday here, as people say it.
        ordered = sorted(cron.weekdays, key=lambda day: (day - 1) % 7)
        names = [WEEKDAYS[day] for day in ordered]
        if len(names) > 2 and all((later - day) % 7 == 1 for day, later in pairwise(ordered)):
            return f" from {names[0]} to {names[-1]}"
        return " on " + _listed([f"{name}s" for name in names])
    if len(cron.days) < 31:
        return f" on {_plural('day', sorted(cron.days))} of the month"
    return ""


def _months(cron: Cron) -> str:
    return "" if len(cron.months) == 12 else " in " + _listed([MONTHS[month - 1] for month in sorted(cron.months)])


def _step(values: Sequence[int], size: int) -> int:
    """Return the distance of values that divide the whole hour or day evenly; 0 if they do not, or if there is one."""
    step = size // len(values)
    even = len(values) > 1 and size % len(values) == 0 and all(b - a == step for a, b in pairwise(values))
    return step if even and step > 1 else 0


def _plural(noun: str, values: Sequence[int]) -> str:
    """Return ``day 1``, ``hours 1, 2 and 9`` or ``minutes 5 to 20``."""
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{noun}s {values[0]} to {values[-1]}"
    return f"{noun}{'s' if len(values) > 1 else ''} {_listed([str(value) for value in values])}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
