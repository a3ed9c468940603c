"""Schedules with the time passed in: each slot is decided once, for any deliveries by EventBridge and any outage."""

import dataclasses
import random
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from pg8000.exceptions import DatabaseError

from nightshift.base.errors import ConfigurationError, Refused
from nightshift.notify import outbox
from nightshift.schedules import slots
from nightshift.schedules.slots import GRACE, fire, register
from nightshift.testing.rows import make_team, run_row, sweep
from tests.support.world import cut_sessions, received, trigger

NAMES = ("db_pruning", "soft_delete_cleanup", "partition_creation")
HOURLY, DAILY = "cron(0 * * * ? *)", "cron(0 3 * * ? *)"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 11, 1, tzinfo=UTC)


def ledger(owner, name):
    rows = owner.run_script(
        f"SELECT slot, outcome, run_id::text FROM job_schedule_slots WHERE job_type = '{name}' ORDER BY slot"
    )
    return [tuple(row) for row in rows]


def outcomes(owner, name):
    return [outcome for _, outcome, _ in ledger(owner, name)]


def end(owner, name):
    """End the type's live run as completed."""
    owner.run_script(
        "UPDATE job_runs SET status = 'completed', started_at = clock_timestamp(), completed_at = clock_timestamp(),"
        f" lease_expires_at = NULL, resend_at = NULL WHERE job_type = '{name}' AND completed_at IS NULL"
    )


def alerts(owner):
    return [
        row[0] for row in owner.run_script("SELECT content FROM job_outbox WHERE run_id IS NULL ORDER BY created_at")
    ]


@pytest.fixture
def hourly(cloud, db, owner):
    """Schedule db_pruning every hour since START; ``hourly(time, now=…)`` is EventBridge."""
    register({"db_pruning": HOURLY}, now=START, db=owner)

    def deliver(time, *, now=None):
        return fire("db_pruning", time=time, now=now or time, db=db, settings=cloud)

    return deliver


def test_a_slot_starts_a_run_that_the_queue_gets_to_know(hourly, cloud, owner):
    assert hourly(START + HOUR) == "started"
    [(slot, outcome, run_id)] = ledger(owner, "db_pruning")
    assert (slot, outcome) == (START + HOUR, "started")
    run = run_row(owner, run_id)
    assert (run["triggered_by"], run["team_id"], run["project_id"]) == ("schedule", None, None)
    assert received(cloud) == [{"run_id": run_id, "slice": 0, "group": "system"}]


def test_the_slot_is_the_rules_and_not_the_clocks(hourly, owner):
    assert hourly(START + HOUR + 40 * timedelta(seconds=1), now=START + HOUR + 3 * MINUTE) == "started"
    assert [slot for slot, _, _ in ledger(owner, "db_pruning")] == [START + HOUR]


def test_what_is_delivered_twice_starts_once(hourly, cloud, owner):
    assert [hourly(START + HOUR), hourly(START + HOUR)] == ["started", "duplicate"]
    end(owner, "db_pruning")
    assert hourly(START + HOUR) == "duplicate"
    assert owner.run_script("SELECT count(*) FROM job_runs") == [[1]]
    assert len(received(cloud)) == 1


def test_two_deliveries_at_once_start_one_run(hourly, cloud, connect, owner):
    for number in range(1, 11):
        barrier, decided = threading.Barrier(4), []

        def deliver(number=number, barrier=barrier, decided=decided):
            db = connect()
            barrier.wait()
            time = START + number * HOUR
            decided.append(fire("db_pruning", time=time, now=time, db=db, settings=cloud))

        threads = [threading.Thread(target=deliver) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(decided) == {"started": 1, "duplicate": 3}
        end(owner, "db_pruning")
    assert owner.run_script("SELECT count(*) FROM job_runs") == [[10]]


def test_a_slot_is_skipped_while_the_last_run_is_live_and_says_for_which(hourly, cloud, owner):
    hourly(START + HOUR)
    assert hourly(START + 2 * HOUR) == "skipped"
    first, second = ledger(owner, "db_pruning")
    assert second == (START + 2 * HOUR, "skipped", first[2])
    end(owner, "db_pruning")
    assert hourly(START + 3 * HOUR) == "started"


def test_an_old_delivery_is_left_to_the_sweep(hourly, owner):
    """Otherwise an outage would end with all its slots started one after another."""
    assert hourly(START + HOUR, now=START + HOUR + GRACE + MINUTE) == "late"
    assert ledger(owner, "db_pruning") == []


def test_a_slot_to_come_is_not_used_up(hourly, owner):
    """An event with a wrong time, for example invoked by hand, must not decide it before its own delivery."""
    assert hourly(START + DAY, now=START + HOUR) == "early"
    assert ledger(owner, "db_pruning") == []
    assert hourly(START + DAY) == "started"


def test_a_clock_that_is_a_little_behind_eventbridges_changes_nothing(hourly):
    assert hourly(START + HOUR, now=START + HOUR - MINUTE) == "started"


def test_the_bounds_of_a_delivery(hourly, owner):
    """The first slot of a schedule, and the last time at which a late or early slot is still accepted."""
    second = timedelta(seconds=1)
    assert hourly(START) == "started"
    for number, (now, outcome) in enumerate(
        [(GRACE, "skipped"), (GRACE + second, "late"), (-GRACE, "skipped"), (-GRACE - second, "early")], start=1
    ):
        assert hourly(START + number * HOUR, now=START + number * HOUR + now) == outcome
    assert hourly(START - HOUR, now=START) == "inactive"


def test_the_first_statement_of_a_delivery_survives_a_dead_connection(hourly, owner):
    hourly(START)
    cut_sessions(owner)
    assert hourly(START) == "duplicate"


def test_what_is_not_scheduled_starts_nothing(hourly, cloud, db, owner):
    assert fire("soft_delete_cleanup", time=START + HOUR, now=START + HOUR, db=db, settings=cloud) == "inactive"
    assert hourly(START, now=START) == "started"
    assert hourly(START - MINUTE, now=START) == "inactive"  # of a rule that existed before this schedule
    with pytest.raises(Refused, match="Invalid job_type"):
        fire("nonsense", time=START, now=START, db=db, settings=cloud)


def test_a_failure_of_the_database_is_no_slot_that_was_decided(hourly, cloud, db, owner):
    endless = dataclasses.replace(cloud, resend_delay_s=float("inf"))
    with pytest.raises(DatabaseError, match="interval out of range"):
        fire("db_pruning", time=START, now=START, db=db, settings=endless)
    assert ledger(owner, "db_pruning") == []


class TestMissed:
    def test_a_slot_within_its_grace_and_what_is_not_scheduled_are_left_alone(self, hourly, cloud, db, owner):
        """This holds even if the sweep found them by mistake: it checks the grace period again under the lock."""
        for name, now in (("db_pruning", START + HOUR), ("soft_delete_cleanup", START + DAY)):
            counts = slots.account_for_missed(name, now=now, db=db, settings=cloud)
            assert counts == {"caught_up": 0, "missed": 0}
        assert ledger(owner, "db_pruning") == []

    def test_the_slot_after_it_may_be_within_its_grace(self, hourly, cloud, db, owner):
        assert sweep(db=db, settings=cloud, now=START + 2 * HOUR + MINUTE)["caught_up"] == 1
        assert [slot for slot, _, _ in ledger(owner, "db_pruning")] == [START + HOUR]

    def test_a_late_delivery_of_the_last_slot_takes_back_what_the_sweep_did(
        self, hourly, cloud, db, owner, connect, monkeypatch
    ):
        real, at = db.query, START + 2 * HOUR

        def query(name, /, **params):
            if name == "insert_scheduled_run":
                fire("db_pruning", time=at, now=at + GRACE, db=connect(), settings=cloud)
            return real(name, **params)

        monkeypatch.setattr(db, "query", query)
        assert slots.account_for_missed("db_pruning", now=at + GRACE, db=db, settings=cloud) == {}
        assert [slot for slot, _, _ in ledger(owner, "db_pruning")] == [at]
        monkeypatch.undo()
        assert sweep(db=db, settings=cloud, now=at + GRACE)["missed"] == 1

    def test_a_slot_that_never_fired_is_caught_up_after_the_grace_and_the_owner_told(self, hourly, cloud, db, owner):
        at = START + HOUR + GRACE
        assert sweep(db=db, settings=cloud, now=at - MINUTE)["caught_up"] == 0
        counts = sweep(db=db, settings=cloud, now=at)
        assert (counts["caught_up"], counts["missed"]) == (1, 0)
        [(slot, outcome, run_id)] = ledger(owner, "db_pruning")
        assert (slot, outcome) == (START + HOUR, "caught_up")
        assert received(cloud) == [{"run_id": run_id, "slice": 0, "group": "system"}]
        [alert] = alerts(owner)
        assert alert["subject"] == "Database Pruning missed its schedule"
        assert "2026-11-01 01:00 UTC" in alert["lines"][0]
        assert hourly(START + HOUR) == "duplicate"

    def test_after_an_outage_one_run_catches_up_and_the_other_slots_are_missed(self, hourly, cloud, db, owner):
        now = START + 6 * HOUR + GRACE
        counts = sweep(db=db, settings=cloud, now=now)
        assert (counts["caught_up"], counts["missed"]) == (1, 5)
        assert outcomes(owner, "db_pruning") == ["missed"] * 5 + ["caught_up"]
        assert len(alerts(owner)) == 1
        assert "6 slots from 2026-11-01 01:00 UTC to 2026-11-01 06:00 UTC" in alerts(owner)[0]["lines"][0]
        assert not any(sweep(db=db, settings=cloud, now=now).values())

    def test_a_gap_behind_a_slot_that_ran_is_only_recorded(self, hourly, cloud, db, owner):
        hourly(START + 3 * HOUR)
        counts = sweep(db=db, settings=cloud, now=START + 3 * HOUR + GRACE)
        assert (counts["caught_up"], counts["missed"]) == (0, 2)
        assert outcomes(owner, "db_pruning") == ["missed", "missed", "started"]
        assert "a later slot has run since" in alerts(owner)[0]["lines"][1]

    def test_nothing_is_caught_up_while_a_run_is_live(self, hourly, cloud, db, owner):
        hourly(START + HOUR)
        counts = sweep(db=db, settings=cloud, now=START + 2 * HOUR + GRACE)
        assert counts["caught_up"] == 0
        assert outcomes(owner, "db_pruning") == ["started", "skipped"]

    def test_slots_that_fired_need_no_word(self, hourly, cloud, db, owner):
        hourly(START + HOUR)
        sweep(db=db, settings=cloud, now=START + HOUR + GRACE)
        assert alerts(owner) == []

    def test_a_long_outage_is_accounted_for_in_bounded_pieces(self, cloud, db, owner, monkeypatch):
        register({"db_pruning": "cron(* * * * ? *)"}, now=START, db=owner)
        monkeypatch.setattr(slots, "SLOTS_AT_ONCE", 50)
        now = START + 2 * HOUR + GRACE
        counts = [sweep(db=db, settings=cloud, now=now) for _ in range(4)]
        assert [(c["missed"], c["caught_up"]) for c in counts] == [(50, 0), (50, 0), (19, 1), (0, 0)]

    def test_the_rest_of_an_outage_is_awaited_before_a_run_catches_up(self, hourly, cloud, db, owner, monkeypatch):
        """This holds even if the rest is a single slot whose grace period ends now."""
        monkeypatch.setattr(slots, "SLOTS_AT_ONCE", 2)
        assert slots.account_for_missed("db_pruning", now=START + 3 * HOUR + GRACE, db=db, settings=cloud) == {
            "caught_up": 0,
            "missed": 2,
        }
        assert outcomes(owner, "db_pruning") == ["missed"] * 2
        assert sweep(db=db, settings=cloud, now=START + 3 * HOUR + GRACE)["caught_up"] == 1

    def test_one_missed_slot_is_told_by_its_time_and_more_by_their_number(self, hourly, cloud, db, owner):
        sweep(db=db, settings=cloud, now=START + HOUR + GRACE)
        sweep(db=db, settings=cloud, now=START + 3 * HOUR + GRACE)
        told = [alert["lines"][0].partition(": ")[2] for alert in alerts(owner)]
        assert told == ["2026-11-01 01:00 UTC.", "2 slots from 2026-11-01 02:00 UTC to 2026-11-01 03:00 UTC."]

    def test_two_sweeps_at_once_account_once(self, hourly, cloud, connect, owner):
        barrier = threading.Barrier(3)

        def heal():
            db = connect()
            barrier.wait()
            sweep(db=db, settings=cloud, now=START + 4 * HOUR + GRACE)

        threads = [threading.Thread(target=heal) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes(owner, "db_pruning") == ["missed"] * 3 + ["caught_up"]
        assert len(alerts(owner)) == 1

    def test_a_late_delivery_in_the_middle_of_a_sweep_wins_and_the_next_sweep_agrees(
        self, hourly, cloud, db, owner, connect, monkeypatch
    ):
        real, at = db.query, START + HOUR

        def query(name, /, **params):
            if name == "insert_scheduled_run":
                fire("db_pruning", time=at, now=at + GRACE, db=connect(), settings=cloud)
            return real(name, **params)

        monkeypatch.setattr(db, "query", query)
        assert sweep(db=db, settings=cloud, now=at + GRACE)["caught_up"] == 0
        monkeypatch.undo()
        assert not any(sweep(db=db, settings=cloud, now=at + GRACE).values())
        assert outcomes(owner, "db_pruning") == ["started"]
        assert alerts(owner) == []


class TestRegister:
    def schedules(self, owner):
        return {
            row[0]: row[1:]
            for row in owner.run_script("SELECT job_type, cron, active_since, next_slot FROM job_schedules")
        }

    def test_a_deployment_says_what_is_scheduled(self, owner):
        register({"db_pruning": HOURLY, "soft_delete_cleanup": DAILY, "partition_creation": ""}, now=START, db=owner)
        assert self.schedules(owner) == {
            "db_pruning": ["0 * * * *", START, START + HOUR],
            "soft_delete_cleanup": ["0 3 * * *", START, START + 3 * HOUR],
        }

    def test_the_next_deployment_leaves_what_is_as_it_was_and_renews_what_changed(self, owner):
        register({"db_pruning": HOURLY, "soft_delete_cleanup": DAILY}, now=START, db=owner)
        register({"db_pruning": HOURLY, "soft_delete_cleanup": "cron(30 5 * * ? *)"}, now=START + DAY, db=owner)
        assert self.schedules(owner) == {
            "db_pruning": ["0 * * * *", START, START + HOUR],
            "soft_delete_cleanup": ["30 5 * * *", START + DAY, START + DAY + 5 * HOUR + 30 * MINUTE],
        }
        register({"db_pruning": ""}, now=START + DAY, db=owner)
        assert self.schedules(owner) == {}

    def test_slots_before_a_change_are_nobodys(self, cloud, db, owner):
        register({"db_pruning": HOURLY}, now=START, db=owner)
        register({"db_pruning": "cron(30 * * * ? *)"}, now=START + 5 * HOUR, db=owner)
        sweep(db=db, settings=cloud, now=START + 5 * HOUR + 30 * MINUTE + GRACE)
        assert [slot for slot, _, _ in ledger(owner, "db_pruning")] == [START + 5 * HOUR + 30 * MINUTE]

    @pytest.mark.parametrize(
        ("wanted", "complaint"),
        [
            ({"db_pruning": "rate(1 hour)"}, r"The schedule of db_pruning cannot be used: .*'rate\(1 hour\)'"),
            ({"db_pruning": "cron(0 3 30 2 ? *)"}, "has that day"),
            (
                {"db_pruning": "cron(0 3 ? * SAT-SUN *)"},
                r"The schedule of db_pruning cannot be used: .*write cron\(0 3 \? \* SUN,SAT \*\)",
            ),
            ({"revenuecat_sync": HOURLY}, "Cannot schedule 'revenuecat_sync': it is not a system job"),
            ({"nonsense": HOURLY}, "Cannot schedule 'nonsense': it is not a system job"),
        ],
    )
    def test_what_cannot_be_scheduled_is_named_and_nothing_changes(self, owner, wanted, complaint):
        register({"soft_delete_cleanup": DAILY}, now=START, db=owner)
        with pytest.raises(ConfigurationError, match=complaint):
            register(wanted, now=START, db=owner)
        assert list(self.schedules(owner)) == ["soft_delete_cleanup"]

    def test_a_success_is_expected_within_two_slots_and_an_hour(self, owner):
        register({"db_pruning": HOURLY, "soft_delete_cleanup": DAILY}, now=START, db=owner)
        expected = owner.run_script("SELECT job_type, expected_within FROM job_successes ORDER BY job_type")
        assert expected == [["db_pruning", 3 * HOUR], ["soft_delete_cleanup", 49 * HOUR]]

    def test_all_schedules_are_stored_or_none(self, owner):
        register({"soft_delete_cleanup": DAILY}, now=START, db=owner)
        owner.run_script("ALTER TABLE job_successes ADD CHECK (job_type <> 'db_pruning') NOT VALID")
        with pytest.raises(DatabaseError, match="job_successes_job_type_check"):
            register({"db_pruning": HOURLY}, now=START, db=owner)
        assert list(self.schedules(owner)) == ["soft_delete_cleanup"]


def test_a_fortnight(cloud, db, owner, monkeypatch):
    """Every minute of it: rules that fire late or twice, long runs, and six hours without any answer."""
    seed = random.randrange(10**6)
    print("seed", seed)
    dice = random.Random(seed)
    crons = dict(zip(NAMES, (HOURLY, DAILY, "cron(0 4 * * ? *)"), strict=True))
    hours = {"db_pruning": range(24), "soft_delete_cleanup": [3], "partition_creation": [4]}
    register(crons, now=START, db=owner)
    monkeypatch.setattr(slots.queue, "send_all", lambda messages: 0)
    monkeypatch.setattr(outbox, "send_messages", lambda rows, **_: 0)
    outage = (START + 5 * DAY + HOUR / 2, START + 5 * DAY + 6.5 * HOUR)  # from 00:30 to 06:30 no component answers
    long_run = START + 10 * DAY + 5 * HOUR  # that hour's pruning takes two and a half hours
    busy_until = {}
    expected = {name: [] for name in NAMES}
    sweeps = 0
    now = START
    while now < START + 14 * DAY:
        now += MINUTE
        away = outage[0] <= now < outage[1]
        for name in [name for name, until in busy_until.items() if until <= now]:
            end(owner, name)
            del busy_until[name]
        for name in NAMES:
            if now.minute or now.hour not in hours[name]:
                continue
            if away:
                continue
            live = name in busy_until
            assert fire(name, time=now, now=now + dice.random() * GRACE, db=db, settings=cloud) == (
                "skipped" if live else "started"
            )
            expected[name].append((now, "skipped" if live else "started"))
            if not live:
                busy_until[name] = now + (2.5 * HOUR if now == long_run else dice.random() * 50 * MINUTE)
            if dice.random() < 0.3:
                assert fire(name, time=now, now=now + MINUTE, db=db, settings=cloud) == "duplicate"
        # To save time, sweep only in the minutes in which a sweep can find a slot.
        if not away and now.minute in (15, 31):
            sweeps += 1
            sweep(db=db, settings=cloud, now=now)
        if now == outage[1]:
            sweep(db=db, settings=cloud, now=now)
            for name in NAMES:
                missed = [START + 5 * DAY + h * HOUR for h in range(1, 7) if h in hours[name]]
                expected[name] += [(slot, "missed") for slot in missed[:-1]] + [(missed[-1], "caught_up")]
                busy_until[name] = now + 10 * MINUTE
    assert {name: [(slot, outcome) for slot, outcome, _ in ledger(owner, name)] for name in NAMES} == expected
    assert Counter(outcome for rows in expected.values() for _, outcome in rows) == {
        "started": 336 + 14 + 14 - 8 - 2,
        "skipped": 2,
        "missed": 5,
        "caught_up": 3,
    }
    runs = Counter(row[0] for row in owner.run_script("SELECT job_type FROM job_runs"))
    assert runs == {"db_pruning": 336 - 2 - 5, "soft_delete_cleanup": 14, "partition_creation": 14}
    assert [alert["subject"] for alert in alerts(owner)] == [
        f"{label} missed its schedule" for label in ("Database Pruning", "Soft-Delete Cleanup", "Partition Creation")
    ]


def test_a_schedule_never_stands_in_the_way_of_a_project(hourly, cloud, db, owner):
    trigger(make_team(owner), db=db, settings=cloud)
    assert hourly(START + HOUR) == "started"
