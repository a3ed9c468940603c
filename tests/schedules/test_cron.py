"""Expressions of five and six fields mean the same slots, and croniter accepts our expressions."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightshift.jobs.registry import JOB_TYPES
from nightshift.schedules.cron import MONTHS, WEEKDAYS, BadCron, from_eventbridge, from_five_fields

MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


# The first value of each field, their number, and their names; for five fields and for EventBridge's six.
MINUTE, HOUR, DAY, MONTH = (0, 60, ()), (0, 24, ()), (1, 31, ()), (1, 12, MONTHS)
WEEKDAY, EVENTBRIDGE_WEEKDAY = (0, 7, WEEKDAYS), (1, 7, WEEKDAYS)
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Four of them in leap years, and some around 2100, which is not a leap year.
SOME_YEARS = [date(2024, 1, 1) + timedelta(days=count) for count in range(9 * 366)]
SOME_YEARS += [date(2099, 1, 1) + timedelta(days=count) for count in range(2 * 366)]


def walk(part, kind, *, step=1):
    """Yield the values of one part of a field, in order; independent of the tested code."""
    low, size, names = kind
    part = f"{low}-{low + size - 1}" if part == "*" else part
    ends = [low + names.index(end.upper()) if end.upper() in names else int(end) for end in part.split("-")]
    first, last = ends[0], ends[-1]
    if (first, last, kind) == (0, 7, WEEKDAY):
        last = 6
    here, passed = (first - low) % size, []
    while not passed or passed[-1] != (last - low) % size:
        passed.append(here)
        here = (here + 1) % size
    return [low + value for value in passed[::step]]


def meaning(word, kind):
    """Return the values of a field."""
    values = set()
    for part in word.split(","):
        span, slash, step = part.partition("/")
        if slash and span != "*" and "-" not in span:
            span = f"{span}-{kind[0] + kind[1] - 1}"
        values |= {*walk(span, kind, step=int(step or 1))}
    return values


def parts(text):
    """Return what five or six fields mean: the test of a day, and the minutes of a day on which it is due."""
    is_eventbridge = text.startswith("cron(")
    kinds = (MINUTE, HOUR, DAY, MONTH, EVENTBRIDGE_WEEKDAY if is_eventbridge else WEEKDAY)
    words = text.removeprefix("cron(").replace("?", "*").split()
    minutes, hours, days, months, weekdays = map(meaning, words, kinds)

    def has(day):
        return day.day in days and day.month in months and day.isoweekday() % 7 + is_eventbridge in weekdays

    return has, [hour * 60 + minute for hour in sorted(hours) for minute in sorted(minutes)]


def due(text):
    """Return the days of SOME_YEARS and the minutes of a day on which a schedule is due."""
    has, minutes = parts(text)
    return [day for day in SOME_YEARS if has(day)], minutes


def slots_after(text, moment):
    has, minutes = parts(text)
    for day in SOME_YEARS[SOME_YEARS.index(moment.date()) :]:
        for time in minutes if has(day) else ():
            slot = datetime(day.year, day.month, day.day, *divmod(time, 60), tzinfo=UTC)
            if slot > moment:
                yield slot


def fields(kind, *, wraps=True):
    """Draw a field as people write it: values, names in any case, ranges that may wrap around, steps, lists."""
    low, size, names = kind
    value = st.integers(low, low + size - (kind != WEEKDAY))  # 0 and 7 are both Sunday

    def words(number):
        name = names[(number - low) % size] if names else ""
        return st.sampled_from([str(number), f"{number:02}", *([name, name.lower(), name.title()] if names else [])])

    def stepped(span):
        count = len(walk(span, kind))
        return st.integers(1, count - 1).map(lambda step: f"{span}/{step}") if count > 1 else st.just(span)

    def range_of(ends):
        return st.tuples(*map(words, ends if wraps else sorted(ends))).map("-".join)

    spans = st.tuples(value, value).flatmap(range_of)
    from_a_value = st.integers(low, low + size - 2).flatmap(
        lambda first: st.integers(1, low + size - 1 - first).map(lambda step: f"{first}/{step}")
    )
    part = st.one_of(value.flatmap(words), spans, spans.flatmap(stepped), stepped("*"), from_a_value)
    return st.just("*") | st.lists(part, min_size=1, max_size=3).map(",".join)


def schedules(weekday, *, any_day, wraps):
    """Draw five-field expressions with a day or a weekday that are due at all."""
    minute, hour, day, month = (fields(kind, wraps=wraps) for kind in (MINUTE, HOUR, DAY, MONTH))
    of_the_month = st.tuples(minute, hour, day, month, st.just(any_day))
    of_the_week = st.tuples(minute, hour, st.just(any_day), month, fields(weekday, wraps=wraps))

    def is_ever_due(words):
        first = min(meaning(words[2].replace("?", "*"), DAY))
        return any(first <= LONGEST[month - 1] for month in meaning(words[3], MONTH))

    return st.one_of(of_the_month, of_the_week).filter(is_ever_due).map(" ".join)


FIVE_FIELDS = schedules(WEEKDAY, any_day="*", wraps=True)
EVENTBRIDGE = schedules(EVENTBRIDGE_WEEKDAY, any_day="?", wraps=False).map(lambda text: f"cron({text} *)")
slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
parsed = from_five_fields


@given(FIVE_FIELDS)
@slow
def test_five_fields_mean_the_same_written_by_us_for_croniter_and_for_eventbridge(text):
    cron = from_five_fields(text)
    assert due(cron.five_fields) == due(cron.eventbridge) == due(text)
    assert from_eventbridge(cron.eventbridge) == from_five_fields(cron.five_fields) == cron


@given(EVENTBRIDGE)
@slow
def test_what_eventbridge_is_given_means_the_same_in_the_ledger(text):
    cron = from_eventbridge(text)
    assert due(cron.five_fields) == due(cron.eventbridge) == due(text)


@given(FIVE_FIELDS | EVENTBRIDGE, MOMENTS)
@slow
def test_the_slots_are_those_of_every_minute_that_is_due(text, moment):
    cron = from_eventbridge(text) if text.startswith("cron(") else from_five_fields(text)
    assert list(islice(cron.slots_after(moment), 4)) == list(islice(slots_after(text, moment), 4))


@given(FIVE_FIELDS)
@slow
def test_eventbridge_gets_one_question_mark_names_for_weekdays_and_no_range_of_one(text):
    minutes, hours, days, months, weekdays, year = parsed(text).eventbridge[5:-1].split()
    assert (days == "?") != (weekdays == "?")
    assert weekdays in "?*" or set(weekdays.replace("-", ",").split(",")) <= set(WEEKDAYS)
    assert year == "*"
    for written in (minutes, hours, days, months, weekdays):
        for part in written.split(","):
            first, dash, last = part.partition("-")
            assert not dash or first != last


@given(FIVE_FIELDS, MOMENTS)
@settings(slow, max_examples=50)
def test_the_slot_at_a_moment_is_the_last_one_up_to_it(text, moment):
    cron = parsed(text)
    slot = cron.slot_at(moment)
    assert slot <= moment
    assert next(cron.slots_after(slot)) > moment
    assert cron.slot_at(slot) == slot
    assert cron.slot_at(slot + timedelta(seconds=59.9)) == slot


def test_the_known_differences_between_the_two_sides():
    assert from_five_fields("0 3 * * 0").eventbridge == "cron(0 3 ? * SUN *)"
    assert from_five_fields("0 3 * * 7").eventbridge == "cron(0 3 ? * SUN *)"
    assert from_five_fields("0 3 * * 5-7").eventbridge == "cron(0 3 ? * SUN,FRI,SAT *)"
    assert from_eventbridge("cron(0 3 ? * 1 *)").five_fields == "0 3 * * SUN"
    assert from_eventbridge("cron(0/15 3 ? * 2-6 *)").five_fields == "0,15,30,45 3 * * MON-FRI"
    assert from_five_fields("1-1 3-3 * * *").five_fields == "1 3 * * *"
    assert from_five_fields("*/15 * 1 1-3 *").eventbridge == "cron(0,15,30,45 * 1 1-3 ? *)"
    assert from_eventbridge("cron(* * * * ? *)").five_fields == "* * * * *"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 3 * *", "five fields"),
        ("60 3 * * *", "minute '60'"),
        ("0 24 * * *", "hour '24'"),
        ("0 3 0 * *", "day '0'"),
        ("0 3 * 13 *", "month '13'"),
        ("0 3 * * 8", "weekday '8'"),
        ("0 3 1 * 1", "both a day and a weekday"),
        ("0 3 30 2 *", "has that day"),
        ("*/0 * * * *", "minute '*/0'"),
        ("*/100 * * * *", "'*/100 * * * *' has a step that is never reached: the range has only 60 values"),
        ("*/60 * * * *", "minute '*/60'"),
        ("0 */24 * * *", "hour '*/24'"),
        ("0 0 */31 * *", "day '*/31'"),
        ("0 0 1 */12 *", "month '*/12'"),
        ("0 0 * * */7", "weekday '*/7'"),
        ("10-12/3 * * * *", "minute '10-12/3'"),
        ("0 22-2/5 * * *", "only 5 values"),
        ("59/2 * * * *", "minute '59/2'"),
        ("*/ * * * *", "a step of 1 or more"),
        ("*/x * * * *", "a step of 1 or more"),
        ("*/-1 * * * *", "a step of 1 or more"),
        ("1/2/3 * * * *", "a step of 1 or more"),
        ("*/99999999999999999999 * * * *", "a step of 1 or more"),
        (f"{'9' * 5000} * * * *", "must be 0 to 59"),
        ("-5 * * * *", "minute '-5'"),
        ("1-2-3 * * * *", "minute '1-2-3'"),
        ("*-5 * * * *", "minute '*-5'"),
        ("1,* * * * *", "cannot be part of a list"),
        ("0 3 ? * *", "six-field schedule"),
        ("0 3 * * ?", "six-field schedule"),
        ("0 3 15W * *", "L, W and # mean different days in different months"),
        ("0 3 * * 5L", "L, W and #"),
        ("0 3 * * 2#1", "L, W and #"),
        ("0 3 * JANUARY *", "must be 1 to 12 or JAN to DEC"),
        ("0 3 * * MONDAY", "must be 0 to 7 or SUN to SAT"),
        ("0 3 31 2 *", "has that day"),
        ("0 3 31 2,4,6,9,11 *", "has that day"),
        ("0 3 30-31 FEB *", "has that day"),
        ("", "five fields"),
        ("@reboot", "use one of @hourly, @daily"),
        ("@daily 5", "five fields"),
        ("0 3 * * MON-", "weekday 'MON-'"),
        ("0 3 L * *", "day 'L'"),
        ("٣ 3 * * *", "minute '٣'"),
        ("1,,2 * * * *", "minute '' of '1,,2 * * * *' is empty (is there an extra comma?)"),
        ("1, 2 * * *", "is empty"),
    ],
)
def test_what_cannot_be_used_is_named(text, complaint):
    with pytest.raises(BadCron, match=re.escape(complaint)):
        from_five_fields(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rate(1 hour)", "six fields"),
        ("cron(0 3 * * *)", "six fields"),
        ("cron(0 3 * * * *)", "Exactly one of the two day fields"),
        ("cron(0 3 ? * ? *)", "Exactly one of the two day fields"),
        ("cron(0 3 * * ? 2027)", "year"),
        ("cron(0 3 L * ? *)", "day 'L'"),
        ("cron(0 3 ? * 2#1 *)", "weekday '2#1'"),
        ("cron(0 3 ? * 0 *)", "weekday '0' of 'cron(0 3 ? * 0 *)' must be 1 to 7 or SUN to SAT"),
        ("cron(0 3 ? * 8 *)", "weekday '8'"),
        ("cron(*/100 * * * ? *)", "a step that is never reached"),
        ("cron(0 3 31 2 ? *)", "has that day"),
        # Its documentation does not say, and local AWS never fires; an explicit list means the same to all.
        (
            "cron(0 3 ? * SAT-SUN *)",
            "'SAT-SUN' in 'cron(0 3 ? * SAT-SUN *)'; write cron(0 3 ? * SUN,SAT *)",
        ),
        ("cron(0 22-2 * * ? *)", "write cron(0 0-2,22,23 * * ? *)"),
        ("cron(0 3 ? * 6-2/2 *)", "write cron(0 3 ? * SUN,FRI *)"),
    ],
)
def test_what_five_fields_cannot_say_is_refused(text, complaint):
    with pytest.raises(BadCron, match=re.escape(complaint)):
        from_eventbridge(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0 3 * * SAT-SUN", "0 3 * * SUN,SAT"),
        ("0 3 * * MON-SUN", "0 3 * * *"),
        ("0 3 * * FRI-MON", "0 3 * * SUN,MON,FRI,SAT"),
        ("0 3 * * fri-7", "0 3 * * SUN,FRI,SAT"),
        ("0 3 * * 0-7", "0 3 * * *"),
        ("0 3 * * 1-7", "0 3 * * *"),
        ("0 3 * * 7-2", "0 3 * * SUN-TUE"),
        ("0 3 * * 7", "0 3 * * SUN"),
        ("0 3 * * 1-1", "0 3 * * MON"),
        ("0 3 * * 1/2", "0 3 * * MON,WED,FRI"),
        ("0 22-2 * * *", "0 0-2,22,23 * * *"),
        ("0 22-2/2 * * *", "0 0,2,22 * * *"),
        ("55-5/5 * * * *", "0,5,55 * * * *"),
        ("0 0 28-3 nov-feb *", "0 0 1-3,28-31 1,2,11,12 *"),
        ("  5\t4 * * *  ", "5 4 * * *"),
        ("@daily", "0 0 * * *"),
        ("@Weekly", "0 0 * * SUN"),
    ],
)
def test_as_people_write_it(text, written):
    assert from_five_fields(text).five_fields == written


def test_every_schedule_of_the_catalogue_can_be_deployed():
    for job_type in JOB_TYPES.values():
        if job_type.schedule:
            assert from_five_fields(job_type.schedule).five_fields == job_type.schedule
