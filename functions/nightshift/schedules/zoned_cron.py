"""Cron expressions in a time zone, and their slots across the hours that clocks skip or repeat.

- A schedule with fixed times (neither its minutes nor its hours contain ``*`` or a step) has one slot for each time of
  the clock: in an hour that clocks skip, it is the first moment after that hour, and in an hour that they repeat, the
  first of the two. A nightly job is neither left out nor run twice.
- Any other schedule follows the passing of time: each minute at which the clock shows a matching time is a slot, in
  both of the repeated hours and in none that is skipped.

These are the rules of cron(8) by Paul Vixie. croniter alone fires ``30 1 * * *`` twice where an hour is repeated.
The zones are those of the package tzdata alone, so that every machine knows the same ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from nightshift.base.errors import Refused
from nightshift.base.validation import shown
from nightshift.schedules.cron import ALIASES, BadCron, Cron, from_five_fields

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MINUTE, ONE_DAY = timedelta(minutes=1), timedelta(days=1)
# Slots are searched in windows that grow: most schedules have a slot within two days, and a 29 February may take eight
# years, around 2100.
WINDOWS_DAYS = (2, 32, 366, 8 * 366)


@dataclass(frozen=True)
class ZonedCron:
    """A cron expression and the zone whose clocks it follows."""

    cron: Cron
    zone: "ZoneInfo"
    is_fixed: bool
    """Whether it has fixed times, so that a repeated hour repeats no slot."""

    def slots_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the slots after ``moment`` in UTC, endlessly."""
        while True:
            windows = (self._slots_between(moment, moment + timedelta(days=days)) for days in WINDOWS_DAYS)
            slots = next(filter(None, windows))
            yield from slots
            moment = slots[-1]

    def _slots_between(self, after: datetime, until: datetime) -> list[datetime]:
        """Return the slots after ``after``, up to and including ``until``."""
        # The clock shows a slot's time on the slot's day, or, if it skips that time, at most a day earlier.
        day, last = after.astimezone(self.zone).date() - ONE_DAY, until.astimezone(self.zone).date()
        slots: set[datetime] = set()
        while day <= last:
            if self.cron.is_on(day):
                slots.update(self._slots_of(day))
            day += ONE_DAY
        return sorted(slot for slot in slots if after < slot <= until)

    def _slots_of(self, day: date) -> Iterator[datetime]:
        midnight = datetime.combine(day, time())
        begin = midnight.replace(tzinfo=self.zone).astimezone(UTC)
        end = (midnight + ONE_DAY).replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        for since_midnight in (timedelta(hours=h, minutes=m) for h in self.cron.hours for m in self.cron.minutes):
            if end - begin == ONE_DAY:  # the clock is not changed on this day
                yield begin + since_midnight
            else:
                yield from self._moments(midnight + since_midnight)

    def _moments(self, shown_time: datetime) -> Iterator[datetime]:
        """Yield the moments in UTC at which this time of the zone's clock is due."""
        # PEP 495: in a skipped hour, fold=0 computes with the offset before it, which gives the later moment.
        early = shown_time.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        late = shown_time.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        if early <= late:
            yield early
            if not self.is_fixed:
                yield late
        elif self.is_fixed:
            yield self._first_moment_after_skip(late, early)

    def _first_moment_after_skip(self, before: datetime, at_latest: datetime) -> datetime:
        """Return the first minute in (``before``, ``at_latest``] with the offset of ``at_latest``."""
        offset = at_latest.astimezone(self.zone).utcoffset()
        while at_latest - before > MINUTE:
            middle = before + (at_latest - before) // MINUTE // 2 * MINUTE
            if middle.astimezone(self.zone).utcoffset() == offset:
                at_latest = middle
            else:
                before = middle
        return at_latest


def zoned_cron(text: str, zone: str) -> ZonedCron:
    """Parse five fields, or an alias such as ``@daily``. Raises Refused naming ``cron`` or ``zone`` and the value."""
    try:
        cron = from_five_fields(text)
    except BadCron as exc:
        raise Refused(f"cron: {exc}") from exc
    minutes, hours, *_ = ALIASES.get(text.strip().lower(), text).split()
    return ZonedCron(cron, known_zone(zone), is_fixed=not set(minutes + hours) & set("*/"))


@cache
def known_zone(name: str) -> "ZoneInfo":
    """Return the zone. Raises Refused with similar names for an unknown one."""
    from zoneinfo import ZoneInfo  # imported here: most callers never ask for slots

    if name not in zone_names():
        raise Refused(
            f"zone must be the name of a time zone, such as Europe/Berlin or UTC, got {shown(name)}{_similar(name)}"
        )
    *folders, file = name.split("/")
    package = ".".join(["tzdata", "zoneinfo", *folders])
    with (resources.files(package) / file).open("rb") as content:
        return ZoneInfo.from_file(content, key=name)


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all zones."""
    return frozenset((resources.files("tzdata") / "zones").read_text().split())


def _similar(name: str) -> str:
    """Return ``. Did you mean America/New_York?`` for a city or a misspelt name, or an empty text."""
    from difflib import get_close_matches

    names = {known.lower(): known for known in sorted(zone_names())}
    wanted = name.strip().lower().replace(" ", "_")
    found = [known for lower, known in names.items() if lower == wanted or lower.endswith(f"/{wanted}")]
    found = found or [names[close] for close in get_close_matches(wanted, names, n=1)]
    return f". Did you mean {found[0]}?" if found else ""
