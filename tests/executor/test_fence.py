"""The conditions in the statements of docs/protocol.md, one by one, unless test_executor already tests them."""

import json
import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from local import roles
from nightshift.base.errors import DatabaseBusy, DatabaseGone
from nightshift.database.queries import Database
from nightshift.database.typed_rows import typed
from nightshift.jobs import Progress
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import executor, slices
from nightshift.runs.slices import CancelRequested, ClaimedSlice, Slice, SliceLost
from nightshift.testing.rows import age, make_team, run_row, sweep
from tests.support.stack_world import until
from tests.support.world import NO_LINES, claim, received, system_run, trigger

CURSOR = {"done": 1}


@pytest.fixture
def team(owner):
    return make_team(owner)


@pytest.fixture
def run(cloud, db, team):
    """Return a run whose slice 0 is claimed."""
    row = trigger(team, db=db, settings=cloud)
    received(cloud)
    assert claim(db, row["id"], 0, lease_s=60, request_id="first")
    return row["id"]


def save(db, run, number, cursor=CURSOR):
    return db.query(
        "save_progress", run_id=run, slice=number, cursor=cursor, cursor_version=1,
        progress={"processed": 1, "total": 2, "message": ""}, **NO_LINES,
    )  # fmt: skip


def end_slice(db, run, number, *, wait_s=0):
    return db.query(
        "end_slice", run_id=run, slice=number, has_checkpoint=True, cursor=json.dumps(CURSOR), cursor_version=1,
        progress=None, wait_s=wait_s, outcome="waiting", reason=None, waiting_for=None, failed_as=None,
        max_delay_s=900, resend_delay_s=120, **NO_LINES,
    )  # fmt: skip


def end_run(db, run, number, status):
    return db.query(
        "end_run", run_id=run, slice=number, status=status,
        result={} if status == "completed" else None, error="e" if status == "failed" else None, **NO_LINES,
    )  # fmt: skip


def writes(db, run, number):
    """Run every statement of a worker and return whether it found a row."""
    return [
        bool(save(db, run, number)),
        bool(end_slice(db, run, number)),
        *(bool(end_run(db, run, number, status)) for status in ("completed", "failed", "cancelled")),
    ]


def test_an_old_number_writes_nothing(db, owner, run):
    end_slice(db, run, 0)
    before = run_row(owner, run)
    assert writes(db, run, 0) == [False] * 5
    claim(db, run, 1, lease_s=60, request_id="second")
    leased = run_row(owner, run)
    assert writes(db, run, 0) == [False] * 5
    assert run_row(owner, run) == leased != before


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_an_ended_run_is_not_written_to(db, owner, run, status):
    assert end_run(db, run, 0, status)
    before = run_row(owner, run)
    assert writes(db, run, 0) == [False] * 5
    assert db.one("cancel_run", run_id=run, requested_by="me") is None
    assert claim(db, run, 0, lease_s=60, request_id="late") == []
    assert run_row(owner, run) == before


def test_an_ended_run_is_never_sent_again(cloud, db, owner, run):
    end_run(db, run, 0, "completed")
    assert not any(sweep(db=db, settings=cloud).values())
    assert received(cloud) == []


def test_an_owner_whose_lease_is_over_is_still_the_owner_until_the_number_is_raised(cloud, db, owner, run):
    age(owner, run, 3600)
    assert save(db, run, 0)
    sweep(db=db, settings=cloud)
    assert not save(db, run, 0, {"done": 2})


def test_a_number_is_claimed_once_also_when_two_ask_at_once(connect, db, owner, run):
    end_slice(db, run, 0)
    first, second = connect(), connect()
    first.begin()
    assert claim(first, run, 1, lease_s=60, request_id="a")
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(claim(second, run, 1, lease_s=60, request_id="b")))
    waiting.start()
    first.commit()
    waiting.join(10)
    assert answers == [[]]


def test_a_commit_whose_answer_is_lost_is_not_tried_again(cloud, db, owner, team, monkeypatch):
    """The worker cannot know of the commit. It abandons the slice, and the next slice continues after the step."""
    seen = []

    def counting(current, steps_db):
        seen.append(current.cursor)
        if current.cursor is None:
            steps_db.write("is_cancelled", run_id=current.id, slice=0)  # any statement that opens the transaction
            yield Progress(processed=1, total=1, message="", cursor=CURSOR)
        return {}

    job_type = JobType(name="counting", label="", description="", scope="project")
    monkeypatch.setitem(JOB_TYPES, "counting", job_type)
    monkeypatch.setattr(JobType, "handler", lambda self: counting)
    row = trigger(team, job_type=job_type, db=db, settings=cloud)
    real = Database.commit

    def commit_and_lose_the_answer(self):
        real(self)
        raise DatabaseGone

    def work(number):
        executor.work(str(row["id"]), number, db=db, settings=cloud, remaining_s=lambda: 60, request_id="r")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "commit", commit_and_lose_the_answer)
        work(0)
    assert seen == [None]
    assert run_row(owner, row["id"])["status"] == "running"
    age(owner, row["id"], 3600)
    sweep(db=db, settings=cloud)
    work(1)
    assert seen == [None, CURSOR]
    assert run_row(owner, row["id"])["status"] == "completed"


def test_the_sweep_leaves_a_locked_row_to_whoever_holds_it(cloud, connect, db, owner, run):
    age(owner, run, 3600)
    holder = connect()
    holder.begin()
    save(holder, run, 0)
    assert sweep(db=db, settings=cloud)["recovered"] == 0
    holder.commit()
    assert sweep(db=db, settings=cloud)["recovered"] == 1


def test_a_frozen_transaction_is_rolled_back_by_the_database(cloud, connect, db, owner, run):
    """With a low limit of the role, the sweep gets past a worker that froze between its yield and its commit."""
    limits = owner.run_script("SELECT unnest(rolconfig) FROM pg_roles WHERE rolname = 'nightshift_worker'")
    assert ["idle_in_transaction_session_timeout=10s"] in limits
    frozen = connect()
    frozen.begin()
    save(frozen, run, 0)
    frozen.run_script("SET LOCAL idle_in_transaction_session_timeout = '1ms'")
    age_when_free = connect(user="postgres", lock_timeout="10000")
    age(age_when_free, run, 3600)  # waits for the row's lock until the database ends the frozen transaction

    assert sweep(db=db, settings=cloud)["recovered"] == 1
    with pytest.raises(DatabaseGone):
        frozen.commit()
    assert run_row(owner, run)["cursor"] is None


def test_what_its_client_has_given_up_on_is_ended_by_the_database(config, owner):
    """The roles' limit is set low here; most functions' driver gives up long before statement_timeout."""
    for role in roles.FUNCTIONS:
        limits = owner.run_script(f"SELECT unnest(rolconfig) FROM pg_roles WHERE rolname = '{role}'")
        assert ["client_connection_check_interval=2s"] in limits
    impatient = Database(replace(config, database_timeout_s=0.1), client_connection_check_interval="10ms")
    with pytest.raises(DatabaseGone, match="timed out"):
        impatient.run_script("SELECT pg_sleep(60)")
    working = "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
    until(lambda: not owner.run_script(working), patience_s=30)


def test_a_wait_is_counted_from_its_end_and_not_from_the_transactions_start(db, owner, run):
    db.begin()
    save(db, run, 0)
    owner.run_script("SELECT pg_sleep(0.2)")  # a slow step
    end_slice(db, run, 0, wait_s=1)
    (left,) = db.run_script("SELECT extract(epoch FROM due_at - now()) FROM job_runs")[0]
    db.commit()
    assert left >= 1.2


@pytest.mark.parametrize(
    "change",
    [
        "lease_expires_at = NULL",  # live with neither
        "resend_at = now()",  # live with both
        "cancel_requested_at = now(), lease_expires_at = NULL, resend_at = now()",  # a cancel that no worker will see
        "status = 'completed', completed_at = now()",  # ended and leased
        "status = 'completed', lease_expires_at = NULL",  # ended without a time
        "status = 'failed', completed_at = now(), lease_expires_at = NULL",  # failed without a reason
        "status = 'running', result = '{}'",
        "status = 'done'",
        """progress = '{"processed": 3, "total": 2, "message": ""}'""",
        """progress = '{"processed": -1, "total": 2, "message": ""}'""",
        "team_id = NULL",
    ],
)
def test_impossible_rows_are_refused_by_the_database(owner, run, change):
    with pytest.raises(DatabaseError, match="23514"):
        owner.run_script(f"UPDATE job_runs SET {change}")


class TestAlone:
    """``run_alone``: DDL, which no condition on the slice can guard."""

    @pytest.fixture
    def leased(self, cloud, owner, db, connect):
        """``leased(lease_s=…)``: slice 0 of a system job's run, claimed for this time."""

        def leased(*, lease_s=60):
            run_id = system_run(owner, "db_pruning")
            claimed = claim(db, run_id, 0, lease_s=lease_s, request_id="first")[0]
            jobs = connect(user="nightshift_maintenance")
            return Slice(
                typed(ClaimedSlice, claimed),
                job_type=JOB_TYPES["db_pruning"],
                db=jobs,
                settings=cloud,
                remaining_s=lambda: lease_s,
            )

        return leased

    def test_the_owner_runs_it(self, owner, leased):
        leased().run_alone("CREATE TABLE made (id int)", patience_ms=50)
        assert owner.run_script("SELECT count(*) FROM made") == [[0]]

    def test_its_connection_has_its_limits_and_is_closed_with_it(self, leased, monkeypatch):
        opened, sibling = [], Database.sibling

        def watched(*of, **limits):
            opened.append((sibling(*of, **limits), limits))
            return opened[-1][0]

        monkeypatch.setattr(Database, "sibling", watched)
        leased().run_alone("SELECT 1", patience_ms=50)
        [(alone, limits)] = opened
        assert limits == {"lock_timeout": "50ms", "idle_session_timeout": "2000ms"}
        assert alone._connection is None

    @pytest.mark.parametrize(
        ("change", "raised"),
        [
            ("slice = slice + 1, lease_expires_at = NULL, resend_at = now()", SliceLost),
            ("slice = slice + 1", SliceLost),
            ("status = 'cancelled', completed_at = now(), lease_expires_at = NULL", SliceLost),
            ("cancel_requested_at = now()", CancelRequested),
            ("lease_expires_at = clock_timestamp() + interval '3.5 s'", DatabaseBusy),
            ("lease_expires_at = clock_timestamp() - interval '1 s'", DatabaseBusy),
        ],
        ids=[
            "the number was raised",
            "another worker claimed the next",
            "it has ended",
            "a cancel was asked for",
            "too little is left",
            "it is over",
        ],
    )
    def test_nobody_else_does(self, owner, leased, change, raised):
        current = leased()
        owner.run_script(f"UPDATE job_runs SET {change}")
        with pytest.raises(raised):
            current.run_alone("CREATE TABLE made (id int)", patience_ms=50)
        assert owner.run_script("SELECT to_regclass('made')") == [[None]]

    @given(lease_s=st.floats(4.5, 200))
    @settings(
        max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
    )
    def test_its_limits_are_over_before_the_lease_is(self, owner, leased, lease_s):
        owner.run_script("DELETE FROM job_slices; DELETE FROM job_runs; DROP TABLE IF EXISTS limits")
        current = leased(lease_s=lease_s)
        current.run_alone(
            "CREATE TABLE limits AS SELECT extract(epoch FROM current_setting('statement_timeout')::interval)::float8"
            " + extract(epoch FROM current_setting('idle_session_timeout')::interval)::float8 AS most_s",
            patience_ms=50,
        )
        query = "SELECT most_s, clock_timestamp() + most_s * interval '1 s' < lease_expires_at FROM limits, job_runs"
        ((most_s, is_over_in_time),) = owner.run_script(query)
        assert 0 < most_s <= 22
        assert is_over_in_time

    def test_a_worker_that_freezes_between_the_check_and_the_statement_has_no_session_any_more(
        self, owner, leased, monkeypatch
    ):
        current, real = leased(), Database.run_script
        ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%held%'"
        monkeypatch.setattr(slices, "ALONE_IDLE_S", 0.1)

        def freezing(self, script):
            if script.startswith("CREATE"):
                while real(owner, f"{ours} AND pid <> pg_backend_pid()") != [[0]]:
                    pass
            return real(self, script)

        with monkeypatch.context() as patch:
            patch.setattr(Database, "run_script", freezing)
            with pytest.raises(DatabaseGone):
                current.run_alone("CREATE TABLE made (id int)", patience_ms=50)
        assert owner.run_script("SELECT to_regclass('made')") == [[None]]
