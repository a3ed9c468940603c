"""A sweep that meets another sweep, a start, a send or a repetition: the second one skips the row or finds it done."""

from datetime import UTC, datetime, timedelta

import pytest

from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import requests
from nightshift.schedules.slots import GRACE, fire, register
from nightshift.testing.rows import make_team, sweep
from tests.support.two_sessions import ORDERS, Act, Died
from tests.support.world import received

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATE = START + HOUR + GRACE

RUN = """
    INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, {columns})
    SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', {values} FROM projects
"""
AN_HOUR_AGO = "clock_timestamp() - interval '1 hour'"
LONG_AGO = "clock_timestamp() - interval '100 days'"

# For each healer of our rows, a row and the statement that heals it.
ROWS = {
    "expired": (
        "expire_leases", "recovered",
        RUN.format(
            columns="status, request_id, started_at, slice_started_at, lease_expires_at",
            values=f"'running', 'r', {AN_HOUR_AGO}, {AN_HOUR_AGO}, {AN_HOUR_AGO}",
        ),
    ),
    "unclaimed": ("resend_due", "resent", RUN.format(columns="resend_at", values=AN_HOUR_AGO)),
    "overlong": (
        "end_overlong", "ended",
        RUN.format(
            columns="status, started_at, ends_by, resend_at",
            values=f"'running', {AN_HOUR_AGO}, {AN_HOUR_AGO}, clock_timestamp() + interval '1 hour'",
        ),
    ),
    "deleted": (
        "stop_deleted", "stopped",
        RUN.format(columns="resend_at", values="clock_timestamp() + interval '1 hour'")
        + "; UPDATE projects SET deleted_at = clock_timestamp()",
    ),
    "moved": (
        "rehome_runs", "rehomed",
        RUN.format(columns="resend_at", values="clock_timestamp() + interval '1 hour'")
        + "; WITH new AS (INSERT INTO teams (name, slug) VALUES ('New', 'new') RETURNING id)"
        " UPDATE projects SET team_id = new.id FROM new",
    ),
    "untold": (
        "tell_of_endings", "told",
        RUN.format(columns="status, completed_at, untold", values="'completed', clock_timestamp(), 'its mail: no'"),
    ),
    "unsent": ("claim_unsent", "mails", f"INSERT INTO job_outbox (content, send_at) VALUES ('{{}}', {AN_HOUR_AGO})"),
    "silent": (
        "claim_overdue_successes", "silent",
        "INSERT INTO job_successes (job_type, expected_within, overdue_at)"
        f" VALUES ('db_pruning', '1 h', {AN_HOUR_AGO})",
    ),
    "slots": (
        "lock_overdue_schedule", "caught_up",
        f"INSERT INTO job_schedules VALUES ('db_pruning', '0 * * * *', '{START}', '{START + HOUR}')",
    ),
    "old_runs": (
        "prune_runs", "pruned", RUN.format(columns="status, completed_at", values=f"'completed', {LONG_AGO}"),
    ),
    "old_alerts": (
        "prune_alerts", "pruned",
        f"INSERT INTO job_outbox (content, status, send_at, ended_at) VALUES ('{{}}', 'sent', NULL, {LONG_AGO})",
    ),
    "old_slots": (
        "prune_slots", "pruned",
        "INSERT INTO job_schedule_slots (job_type, slot, outcome, decided_at)"
        f" VALUES ('db_pruning', '{START}', 'missed', {LONG_AGO})",
    ),
    "old_audit_entries": (
        "prune_audit_entries", "pruned",
        "INSERT INTO job_audit_entries (occurred_at, actor, action, subject_type, subject_id, request_id)"
        " VALUES (now() - interval '400 days', 'operator:ada', 'x.y', 'x', 'x', 'r')",
    ),
    "old_sign_ins": (
        "prune_sign_ins", "pruned",
        "INSERT INTO job_sign_ins (id, secret_hash, user_id, expires_at)"
        f" VALUES (gen_random_uuid(), '', gen_random_uuid(), {LONG_AGO})",
    ),
    "old_sign_in_shares": (
        "prune_sign_in_shares", "pruned", f"INSERT INTO job_sign_in_shares VALUES ('all', '{{}}', {LONG_AGO})",
    ),
    "old_sessions": (
        "prune_sessions", "pruned",
        "INSERT INTO job_sessions (user_id, token_hash, is_cookie, signed_in_by, source, browser, ends_at)"
        f" VALUES (gen_random_uuid(), '', true, 'code', '', '', {LONG_AGO})",
    ),
}  # fmt: skip
# Healers whose statement deletes rows without a prior lock.
WAITING = ("old_slots", "old_audit_entries", "old_sign_ins", "old_sign_in_shares", "old_sessions")


@pytest.mark.parametrize("healer", ROWS)
def test_two_sweeps_that_found_the_same_row_heal_it_once(meet, cloud, db, owner, healer):
    """The second sweep skips the row that the first one holds, or waits if rows are deleted without a prior lock."""
    statement, counted, row = ROWS[healer]
    make_team(owner)
    owner.run_script(row)
    act = Act(lambda db: sweep(db=db, settings=cloud, now=LATE)[counted], statement)
    died = meet(act, act, dies=True)
    assert died.waited == (healer in WAITING)
    if not died.waited:
        assert died.other == 0
        met = meet(act, act)
        assert (met.one, met.other, met.waited) == (1, 0, False)
    else:
        assert died.other == 1
    assert sweep(db=db, settings=cloud, now=LATE)[counted] == 0


def fires(cloud, *, now=LATE):
    """Let EventBridge deliver the slot of ``START + HOUR`` at the last moment."""
    return lambda db: fire("db_pruning", time=START + HOUR, now=now, db=db, settings=cloud)


def accounts(cloud, *, now=LATE):
    """Sweep, and return the numbers of caught-up and missed slots."""

    def do(db):
        counts = sweep(db=db, settings=cloud, now=now)
        return counts["caught_up"], counts["missed"]

    return do


def slots(owner):
    return owner.run_script("SELECT outcome, run_id IS NOT NULL FROM job_schedule_slots ORDER BY slot")


def told(owner):
    """Return the slots that the operator is told of."""
    contents = owner.run_script("SELECT content FROM job_outbox WHERE run_id IS NULL")
    return [content["lines"][0].partition("did not start when it was ")[2] for (content,) in contents]


BOTH = "2 slots from 2026-11-01 01:00 UTC to 2026-11-01 02:00 UTC"


@pytest.fixture
def hourly(owner):
    register({"db_pruning": "cron(0 * * * ? *)"}, now=START, db=owner)


@pytest.mark.usefixtures("hourly")
class TestASlot:
    @pytest.mark.parametrize(("first", "dies"), ORDERS)
    def test_fires_or_is_caught_up(self, meet, cloud, db, owner, first, dies):
        at = "insert_scheduled_run"
        met = meet(Act(fires(cloud), at), Act(accounts(cloud), at), first=first, dies=dies)
        fired = (first == 0) != dies
        assert met.waited
        if fired:
            assert met.one == "started"
            assert isinstance(met.other, Died) if dies else met.other == (0, 0)
        else:
            assert met.other == (1, 0)
            assert isinstance(met.one, Died) if dies else met.one == "duplicate"
        assert slots(owner) == [["started" if fired else "caught_up", True]]
        assert len(owner.run_script("SELECT FROM job_outbox")) == (not fired)  # the operator is told of a missed slot
        assert len(received(cloud)) == 1
        assert accounts(cloud)(db) == (0, 0)

    @pytest.mark.parametrize(
        ("first", "dies", "decided"),
        [
            ("fire", False, ["started", "skipped"]),
            ("fire", True, ["missed", "caught_up"]),
            ("sweep", False, ["missed", "caught_up"]),
            ("sweep", True, ["started", "skipped"]),
        ],
    )
    def test_fires_or_is_missed(self, meet, cloud, db, owner, first, dies, decided):
        """The sweep decides this slot and the next; the delivery comes from a clock that is an hour slow."""
        at, sweeps = "insert_scheduled_run", accounts(cloud, now=LATE + HOUR)
        meets_it_at = "insert_slots" if first == "fire" else at
        met = meet(Act(fires(cloud), at), Act(sweeps, meets_it_at), first=["fire", "sweep"].index(first), dies=dies)
        assert met.waited
        sweeps(db)
        assert [outcome for outcome, _ in slots(owner)] == decided
        assert told(owner) == [f"due: {'2026-11-01 02:00 UTC' if decided[0] == 'started' else BOTH}."]
        if (first, dies) == ("fire", False):
            assert met.other == (0, 0)
        assert len(owner.run_script("SELECT FROM job_runs")) == len(received(cloud)) == 1

    def test_fires_while_a_sweep_finds_it_missed_behind_a_later_one(self, meet, cloud, owner):
        """The sweep has decided no slot, so it reports nothing."""
        fire("db_pruning", time=START + 2 * HOUR, now=START + 2 * HOUR, db=owner, settings=cloud)
        met = meet(Act(fires(cloud), "insert_scheduled_run"), Act(accounts(cloud), "insert_slots"))
        assert (met.one, met.other, met.waited) == ("skipped", (0, 0), True)
        assert told(owner) == []

    @pytest.mark.parametrize("dies", [False, True])
    def test_is_delivered_twice_at_once(self, meet, cloud, owner, dies):
        act = Act(fires(cloud), "insert_scheduled_run")
        met = meet(act, act, dies=dies)
        assert met.waited
        assert met.other == ("started" if dies else "duplicate")
        assert slots(owner) == [["started", True]]
        assert len(received(cloud)) == 1

    @pytest.mark.parametrize(("first", "dies"), ORDERS)
    def test_is_skipped_for_a_run_that_an_operator_starts_just_now(self, meet, cloud, owner, first, dies):
        def starts(db):
            of = {"params": {}, "triggered_by": "system"}
            return requests.create_system(JOB_TYPES["db_pruning"], db=db, settings=cloud, **of).triggered_by

        met = meet(Act(fires(cloud), "insert_scheduled_run"), Act(starts, "insert_system_run"), first=first, dies=dies)
        fired = (first == 0) != dies
        assert met.waited
        assert len(owner.run_script("SELECT FROM job_runs")) == 1
        assert len(received(cloud)) == 1
        if first == 1 and not dies:
            assert slots(owner) == [["skipped", True]]
        elif fired:
            assert slots(owner) == [["started", True]]
        else:
            assert slots(owner) == []
