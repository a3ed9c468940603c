"""Job types without a success in time: reported once, and never while they are paused or succeed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from nightshift.base import metrics
from nightshift.base.wording import moment
from nightshift.jobs.registry import JOB_TYPES
from nightshift.operator.health import check_health
from nightshift.runs import pauses
from nightshift.schedules.cron import BadCron, from_five_fields
from nightshift.schedules.slots import register
from nightshift.schedules.successes import tell_of_overdue
from nightshift.testing.rows import run_row, sweep
from tests.schedules.test_schedules import DAILY, HOURLY, alerts, end
from tests.support.fixtures import ROLES
from tests.support.world import system_run


@pytest.fixture(autouse=True)
def scheduled(owner):
    register({"db_pruning": HOURLY, "soft_delete_cleanup": DAILY}, now=datetime.now(UTC), db=owner)


def age(owner, *, hours, name="db_pruning"):
    owner.run_script(
        f"UPDATE job_successes SET since = since - interval '{hours} hours', overdue_at = overdue_at -"
        f" interval '{hours} hours', last_success_at = last_success_at - interval '{hours} hours'"
        f" WHERE job_type = '{name}'"
    )


def look(owner, db, settings):
    sweep(db=db, settings=settings)
    return [alert["subject"] for alert in alerts(owner)]


def test_two_slots_and_an_hour_without_success_are_told_of_once(cloud, db, owner):
    age(owner, hours=2.9)
    assert look(owner, db, cloud) == []
    age(owner, hours=0.2)
    assert look(owner, db, cloud) == ["Database Pruning has not succeeded for 3 h 6 min"]
    assert len(look(owner, db, cloud)) == 1
    age(owner, hours=3)
    assert look(owner, db, cloud)[1:] == ["Database Pruning has not succeeded for 6 h 6 min"]


def test_a_success_starts_the_clock_anew(cloud, db, owner):
    age(owner, hours=2.9)
    run_id = system_run(owner, "db_pruning")
    end(owner, "db_pruning")
    completed_at = run_row(owner, run_id)["completed_at"]
    assert owner.run_script("SELECT to_jsonb(last_success_at) FROM job_successes WHERE job_type = 'db_pruning'") == [
        [completed_at]
    ]
    age(owner, hours=2.9)
    assert look(owner, db, cloud) == []


def test_a_failure_is_no_success_and_is_named(cloud, db, owner):
    run_id = system_run(owner, "db_pruning")
    age(owner, hours=3.1)
    owner.run_script(
        "UPDATE job_runs SET status = 'failed', error = 'No room', started_at = clock_timestamp(), resend_at = NULL,"
        f" completed_at = clock_timestamp() WHERE id = '{run_id}'"
    )
    look(owner, db, cloud)
    [alert] = alerts(owner)
    assert alert["lines"][0].startswith("It has not succeeded since ")
    assert alert["lines"][1] == "The last error: No room"


def test_the_mail_says_since_when_and_where_to_look(cloud, db, owner):
    system_run(owner, "db_pruning")
    end(owner, "db_pruning")
    age(owner, hours=3)
    pauses.pause(JOB_TYPES["db_pruning"], what="schedule", by="ada", why="disk work", db=db)
    pauses.resume(JOB_TYPES["db_pruning"], db=db)
    age(owner, hours=5)
    owner.run_script(
        "INSERT INTO job_successes (job_type, expected_within, overdue_at, since)"
        " VALUES ('retired', '1 h', '2026-01-01Z', '2026-01-01 03:00Z')"
    )
    metrics._counted.clear()
    look(owner, db, cloud)
    known, unknown = sorted(alerts(owner), key=lambda alert: alert["subject"])
    where = "To see its schedule: `nightshift system schedules`. To see its runs: `nightshift system runs --type {}`."
    [[last]] = owner.run_script("SELECT last_success_at FROM job_successes WHERE last_success_at IS NOT NULL")
    assert known["subject"] == "Database Pruning has not succeeded for 5 h"
    assert known["lines"] == [f"Its last success was on {moment(last)}.", where.format("db_pruning")]
    assert unknown["subject"].startswith("retired has not succeeded for ")
    begun = moment(datetime(2026, 1, 1, 3, tzinfo=UTC))
    assert unknown["lines"] == [f"It has not succeeded since {begun}.", where.format("retired")]
    assert metrics._counted == {None: {"JobsOverdue": [1, 1]}}


def test_a_mail_that_cannot_be_written_is_written_later(cloud, db, owner):
    age(owner, hours=3.1)
    owner.run_script(f"REVOKE INSERT ON job_outbox FROM {ROLES}")
    with pytest.raises(DatabaseError):
        tell_of_overdue(["db_pruning"], db=db)
    owner.run_script("SELECT grant_job_rights()")
    assert tell_of_overdue(["db_pruning"], db=db) == 1
    assert len(alerts(owner)) == 1


def test_nobody_expects_anything_of_what_is_paused(cloud, db, owner):
    pauses.pause(JOB_TYPES["db_pruning"], what="schedule", by="ada", why="disk work", db=db)
    age(owner, hours=30)
    assert look(owner, db, cloud) == []
    assert check_of(db, cloud)["ok"]
    pauses.resume(JOB_TYPES["db_pruning"], db=db)
    age(owner, hours=2.9)
    assert look(owner, db, cloud) == []


def test_one_that_is_succeeding_right_now_is_not_waited_for(cloud, db, owner, connect):
    age(owner, hours=60, name="db_pruning")
    age(owner, hours=60, name="soft_delete_cleanup")
    ending = connect()
    with ending.transaction():
        ending.run_script("UPDATE job_successes SET since = clock_timestamp() WHERE job_type = 'db_pruning'")
        assert look(owner, db, cloud) == ["Soft-Delete Cleanup has not succeeded for 2 d 12 h"]


def test_health_is_red_until_it_succeeds(cloud, db, owner):
    assert check_of(db, cloud)["ok"]
    age(owner, hours=5)
    look(owner, db, cloud)
    red = check_of(db, cloud)
    assert red["says"] == "no success for longer than expected: db_pruning for 5 h"
    system_run(owner, "db_pruning")
    end(owner, "db_pruning")
    assert check_of(db, cloud)["ok"]


def test_a_deployment_that_changes_nothing_keeps_what_is_known(cloud, db, owner):
    age(owner, hours=3.1)
    register({"db_pruning": HOURLY}, now=datetime.now(UTC), db=owner)
    assert owner.run_script("SELECT job_type FROM job_successes") == [["db_pruning"]]
    assert len(look(owner, db, cloud)) == 1
    register({"db_pruning": DAILY}, now=datetime.now(UTC), db=owner)
    age(owner, hours=48)
    assert len(look(owner, db, cloud)) == 1
    age(owner, hours=1.1)
    assert look(owner, db, cloud)[1:] == ["Database Pruning has not succeeded for 2 d 1 h"]


def check_of(db, settings):
    [line] = [each for each in check_health(db=db, settings=settings)["checks"] if each["name"] == "successes"]
    return line


@pytest.mark.parametrize(
    ("cron", "gap"),
    [
        ("* * * * *", timedelta(minutes=1)),
        ("0 * * * *", timedelta(hours=1)),
        ("0 3 * * *", timedelta(days=1)),
        ("30 9-17 * * *", timedelta(hours=16)),
        ("0 3 * * 1-5", timedelta(days=3)),
        ("0 0 31 * *", timedelta(days=61)),
        ("0 0 29 2 *", timedelta(days=1461)),
    ],
)
def test_the_longest_gap(cron, gap):
    assert from_five_fields(cron).longest_gap == gap


@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=3),
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=3),
    weekdays=st.sets(st.integers(0, 6), min_size=1),
    begin=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_no_slot_waits_longer_for_its_next_and_one_in_a_fortnight_waits_so_long(minutes, hours, weekdays, begin):
    try:
        cron = from_five_fields(f"{_list(minutes)} {_list(hours)} * * {_list(weekdays)}")
    except BadCron:
        return
    slots = cron.slots_after(begin)
    gaps, previous = [], next(slots)
    for slot in slots:
        gaps.append(slot - previous)
        previous = slot
        if slot > begin + timedelta(days=15):
            break
    assert max(gaps) == cron.longest_gap


def _list(values):
    return ",".join(str(value) for value in sorted(values))
