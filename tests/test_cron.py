"""Five fields and six mean the same slots, and croniter reads what we write."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from croniter import croniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nightshift.catalogue import CATALOGUE
from nightshift.cron import MONTHS, WEEKDAYS, BadCron, from_eventbridge, from_five_fields

MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


def field(low, high, names=()):
    """A field as people write it: values, names, ranges, steps, lists."""
    value = st.integers(low, high)
    word = value.map(str) if not names else value.flatmap(lambda v: st.sampled_from([str(v), names[v - low]]))
    pair = st.tuples(value, value).filter(lambda p: p[0] < p[1])  # croniter takes 1-1 for *
    span = pair.map(lambda p: f"{p[0]}-{p[1]}")
    stepped = st.tuples(st.sampled_from(["*"]) | span, st.integers(1, high)).map(lambda p: f"{p[0]}/{p[1]}")
    return st.just("*") | st.lists(word | span | stepped, min_size=1, max_size=3).map(",".join)


FIVE_FIELDS = st.one_of(
    st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12, MONTHS), st.just("*")),
    st.tuples(field(0, 59), field(0, 23), st.just("*"), field(1, 12, MONTHS), field(0, 6, WEEKDAYS)),
).map(" ".join)


def parsed(text):
    try:
        return from_five_fields(text)
    except BadCron as exc:
        assume("no such day" not in str(exc))
        raise


def matches(cron, moment):
    """What the sets mean, minute by minute: the oracle."""
    return (
        moment.minute in cron.minutes
        and moment.hour in cron.hours
        and moment.day in cron.days
        and moment.month in cron.months
        and moment.isoweekday() % 7 in cron.weekdays
    )


@given(FIVE_FIELDS, MOMENTS)
@settings(deadline=None)
def test_croniter_finds_the_same_slots_in_what_people_wrote_and_in_what_we_write(text, moment):
    cron = parsed(text)
    mine = list(islice(cron.slots_after(moment), 3))
    theirs = croniter(text, moment)
    assert mine == [theirs.get_next(datetime) for _ in range(3)]
    assert all(matches(cron, slot) for slot in mine)


@given(FIVE_FIELDS)
def test_the_way_to_eventbridge_and_back_changes_nothing(text):
    cron = parsed(text)
    assert from_eventbridge(cron.eventbridge) == cron
    assert from_five_fields(cron.five_fields) == cron


@given(FIVE_FIELDS)
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
@settings(deadline=None, max_examples=50)
def test_the_slot_at_a_moment_is_the_last_one_up_to_it(text, moment):
    cron = parsed(text)
    slot = cron.slot_at(moment)
    assert slot <= moment
    assert next(cron.slots_after(slot)) > moment
    assert cron.slot_at(slot) == slot
    assert cron.slot_at(slot + timedelta(seconds=59.9)) == slot


@given(MOMENTS)
@settings(max_examples=20)
def test_no_minute_between_two_slots_matches(moment):
    cron = from_five_fields("5,35 */6 * 2,11 MON-WED")
    slot, following = islice(cron.slots_after(moment), 2)
    between = (slot + timedelta(minutes=n) for n in range(1, min(3000, int((following - slot).total_seconds() / 60))))
    assert not any(matches(cron, minute) for minute in between)


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
        ("0 3 30 2 *", "no such day"),
        ("*/0 * * * *", "minute '*/0'"),
        ("5-1 * * * *", "ends before it begins"),
        ("0 3 * * MON-", "weekday 'MON-'"),
        ("0 3 L * *", "day 'L'"),
        ("٣ 3 * * *", "minute '٣'"),
        ("1,,2 * * * *", "minute ''"),
    ],
)
def test_what_cannot_be_used_is_named(text, complaint):
    with pytest.raises(BadCron, match=complaint.replace("*", r"\*")):
        from_five_fields(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rate(1 hour)", "six fields"),
        ("cron(0 3 * * *)", "six fields"),
        ("cron(0 3 * * * *)", "One of the day fields"),
        ("cron(0 3 ? * ? *)", "One of the day fields"),
        ("cron(0 3 * * ? 2027)", "year"),
        ("cron(0 3 L * ? *)", "day 'L'"),
        ("cron(0 3 ? * 2#1 *)", "weekday '2#1'"),
        ("cron(0 3 ? * 0 *)", "weekday '0'"),
    ],
)
def test_what_five_fields_cannot_say_is_refused(text, complaint):
    with pytest.raises(BadCron, match=complaint):
        from_eventbridge(text)


def test_every_schedule_of_the_catalogue_can_be_deployed():
    for job_type in CATALOGUE.values():
        if job_type.schedule:
            assert from_five_fields(job_type.schedule).five_fields == job_type.schedule
