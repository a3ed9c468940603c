"""A schedule in a time zone fires as its clock says, also where clocks skip or repeat an hour."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, takewhile

import pytest

from nightshift.base.errors import Refused
from nightshift.schedules.cron import from_five_fields
from nightshift.schedules.zoned_cron import known_zone, zone_names, zoned_cron

QUARTER = timedelta(minutes=15)
# They skip and repeat hours at midnight (Santiago, Beirut), half an hour (Lord Howe), at a quarter to (Chatham), around
# Ramadan (Casablanca), at the time of UTC (London), or never.
ZONES = (
    *("America/New_York", "America/St_Johns", "America/Santiago", "Europe/London", "Europe/Berlin", "Asia/Beirut"),
    *("Asia/Kathmandu", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Chatham", "Atlantic/Azores", "UTC"),
)
FIXED = ("30 1 * * *", "30 2 * * *", "0,30 0-3 * * *", "15 0 * * SUN", "0 3 1 * *", "45 2 * * MON-FRI", "0 0 * * *")
FREE = ("*/15 * * * *", "30 * * * *", "0 */6 * * *", "5-55/10 1,2 * * *", "0 1-3/2 * * SUN", "* 2 * * *")


def slots_of_year(text, zone, year):
    """Return the slots by looking at the zone's clock in each quarter hour; independent of the tested code.

    A quarter hour is fine enough: every zone changes its clock at the beginning of one.
    """
    cron, fixed = from_five_fields(text), text in FIXED
    due = {hour * 60 + minute for hour in cron.hours for minute in cron.minutes}
    # The due minutes of each quarter hour of a clock, counted from its beginning.
    of_quarter = [
        [minute - first for minute in range(first, first + 15) if minute in due] for first in range(0, 1440, 15)
    ]

    def due_in(shown):
        minutes = of_quarter[shown.hour * 4 + shown.minute // 15]
        return minutes if minutes and cron.is_on(shown.date()) else ()

    found, latest = [], None
    for moment, shown, skipped in quarters_of_year(zone, year):
        minutes = () if fixed and latest and shown <= latest else due_in(shown)
        if fixed and skipped and any(due_in(each) for each in skipped):
            minutes = {0, *minutes}
        found += [moment + timedelta(minutes=minute) for minute in sorted(minutes)]
        latest = max(latest or shown, shown)
    return found


@cache
def quarters_of_year(zone, year):
    """Return each quarter hour: its moment, what the clock shows, and the quarter hours that it skipped before."""
    clock, moment, quarters = known_zone(zone), datetime(year, 1, 1, tzinfo=UTC), []
    before = (moment - QUARTER).astimezone(clock).replace(tzinfo=None)
    while moment.year == year:
        shown = moment.astimezone(clock).replace(tzinfo=None)
        count = (shown - before) // QUARTER - 1
        quarters.append((moment, shown, [before + QUARTER * (n + 1) for n in range(count)]))
        before, moment = shown, moment + QUARTER
    return quarters


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_schedules_is_exact_to_the_minute(zone):
    year = 2026
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    for text in FIXED + FREE:
        slots = zoned_cron(text, zone).slots_after(begin - timedelta(minutes=1))
        assert list(takewhile(lambda slot: slot < end, slots)) == slots_of_year(text, zone, year), text


def test_a_fixed_time_in_a_skipped_hour_fires_at_the_first_moment_after_it():
    # New York's clocks go from 02:00 to 03:00 on 8 March 2026.
    slots = zoned_cron("30 2 * * *", "America/New_York").slots_after(datetime(2026, 3, 7, 12, tzinfo=UTC))
    assert [f"{slot:%d %H:%M}" for slot in islice(slots, 2)] == ["08 07:00", "09 06:30"]


def test_a_fixed_time_in_a_repeated_hour_fires_once_and_a_step_twice():
    # New York's clocks go from 02:00 back to 01:00 on 1 November 2026.
    before = datetime(2026, 11, 1, 4, 45, tzinfo=UTC)
    once = zoned_cron("30 1 * * *", "America/New_York").slots_after(before)
    assert [f"{slot:%d %H:%M}" for slot in islice(once, 2)] == ["01 05:30", "02 06:30"]
    twice = zoned_cron("30 */1 * * *", "America/New_York").slots_after(before)
    assert [f"{slot:%d %H:%M}" for slot in islice(twice, 3)] == ["01 05:30", "01 06:30", "01 07:30"]


def test_a_skipped_day_has_one_slot_at_its_end():
    # Samoa went over the date line: 29 December 2011 was followed by the 31st.
    slots = zoned_cron("0 9 * * *", "Pacific/Apia").slots_after(datetime(2011, 12, 29, 20, tzinfo=UTC))
    assert [f"{slot:%d %H:%M}" for slot in islice(slots, 2)] == ["30 10:00", "30 19:00"]


def test_a_leap_day_is_found_years_ahead():
    [slot] = islice(zoned_cron("0 0 29 2 *", "UTC").slots_after(datetime(2096, 3, 1, tzinfo=UTC)), 1)
    assert slot == datetime(2104, 2, 29, tzinfo=UTC)


def test_seconds_are_no_part_of_a_slot():
    [slot] = islice(
        zoned_cron("* * * * *", "Asia/Kathmandu").slots_after(datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)), 1
    )
    assert slot == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def test_each_zone_can_be_loaded():
    assert {known_zone(name).key for name in zone_names()} == zone_names()


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("New York", 'got "New York". Did you mean America/New_York?'),
        ("Europe/Berlim", 'got "Europe/Berlim". Did you mean Europe/Berlin?'),
        ("europe/berlin", "Did you mean Europe/Berlin?"),
        ("+02:00", 'zone must be the name of a time zone, such as Europe/Berlin or UTC, got "+02:00"'),
        ("", 'got ""'),
        ("../../etc/passwd", 'got "../../etc/passwd"'),
        ("Europe", 'got "Europe"'),
    ],
)
def test_an_unknown_zone_is_refused_with_a_similar_one(zone, said):
    with pytest.raises(Refused) as refused:
        zoned_cron("0 0 * * *", zone)
    assert said in str(refused.value)


def test_a_bad_expression_is_refused_with_its_field():
    with pytest.raises(Refused, match=r"^cron: The minute '61' of '61 \* \* \* \*' must be 0 to 59"):
        zoned_cron("61 * * * *", "UTC")


@pytest.mark.parametrize(
    ("text", "shortest"),
    [
        ("*/15 * * * *", 15),
        ("0,55 0,23 * * *", 5),
        ("0,55 0,23 * * MON", 55),
        ("0 3 * * *", 1440),
        ("0 0 1 * *", 28 * 1440),
    ],
)
def test_the_shortest_gap_counts_nights_only_between_days_that_follow_each_other(text, shortest):
    assert from_five_fields(text).shortest_gap == timedelta(minutes=shortest)
