"""Temporary database errors, and the stored reasons for lost workers."""

import contextlib
import threading

import pytest

from nightshift.base.errors import DatabaseBusy, DatabaseExhausted, SignInRefused
from nightshift.jobs import Progress
from nightshift.runs.job_steps import BUSY_RETRY, EXHAUSTED_RETRY
from nightshift.runs.watchdog import NOTE_RESERVE_S, blocked_at, watching
from nightshift.testing.rows import age, run_row, slices, sweep, work
from tests.support.executor_world import counting_to, steps_of
from tests.support.stack_world import until
from tests.support.world import (
    closed_to_new_sessions,
    cut_sessions,
    other_role_of_system_jobs,
    received,
    system_run,
    trigger,
)

PASSING = {
    "40001": "could not serialize access",
    "40P01": "deadlock detected",
    "55P03": "canceling statement due to lock timeout",
    "55006": "object is in use",
    "57014": "canceling statement due to statement timeout",
    "XX000": "tuple concurrently updated",
    "0A000": "cached plan must not change result type",
}
EXHAUSTED = {
    "53000": "insufficient resources",
    "53100": "could not extend file: No space left on device",
    "53200": "out of memory",
    "53400": "configured limit exceeded",
    "58030": "could not read block 1: Input/output error",
    "58P01": "could not open file",
}
FINAL = {
    "XX000": "cache lookup failed for type 1",
    "0A000": "cannot insert into a view",
    "22012": "division by zero",
    "42P01": 'relation "x" does not exist',
}


def raising(code, words):
    return f"DO $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = '{code}'; END $$"


@pytest.mark.parametrize(
    ("code", "words", "policy"),
    [(code, words, BUSY_RETRY) for code, words in PASSING.items()]
    + [(code, words, EXHAUSTED_RETRY) for code, words in EXHAUSTED.items()],
)
@pytest.mark.parametrize("way", ["read", "write"])
def test_what_passes_is_tried_again_and_costs_no_committed_step(run_of, owner, own_queries, way, code, words, policy):
    own_queries["trouble"] = raising(code, words)
    seen = []

    def unlucky(run, db):
        for step in range((run.cursor or {"done": 0})["done"] + 1, 4):
            db.write("record_step", run_id=run.id, step=step)
            if step == 2 and not seen:
                seen.append(step)
                getattr(db, way)("trouble")
            yield Progress(processed=step, total=3, message="", cursor={"done": step})
        return {}

    run = run_of(unlucky).work()
    assert run.slices[0][2].startswith(f"retry 1 of {policy.attempts} after: The database")
    assert owner.run_script("SELECT wait_s FROM job_timeline") == [[policy.delay_s]]
    assert run.finish().row["status"] == "completed"
    assert steps_of(owner, run.id) == [1, 2, 3]


@pytest.mark.parametrize(("code", "words"), FINAL.items())
def test_what_does_not_pass_fails_the_run_at_once(run_of, own_queries, code, words):
    own_queries["trouble"] = raising(code, words)

    def wrong(run, db):
        db.write("trouble")
        yield

    assert run_of(wrong).work().row["error"] == words


def test_a_full_disk_may_take_two_hours_to_mend_and_a_deadlock_a_minute():
    def total_s(policy):
        return sum(policy.delay_before(failure) for failure in range(1, policy.attempts + 1))

    assert total_s(BUSY_RETRY) < 120
    assert 7_200 <= total_s(EXHAUSTED_RETRY) < 10_000


def test_a_column_that_is_added_under_a_step_costs_that_step_one_try(run_of, owner, own_queries):
    own_queries["all_of_it"] = "INSERT INTO steps VALUES ('x', CAST(:step AS int)) RETURNING *"

    def watched(run, db):
        for step in range((run.cursor or {"done": 0})["done"] + 1, 3):
            db.write("all_of_it", step=step)
            yield Progress(processed=step, total=2, message="", cursor={"done": step})
            if step == 1:
                owner.run_script("ALTER TABLE steps ADD COLUMN IF NOT EXISTS later text")
        return {}

    run = run_of(watched).finish()
    assert [outcome for _, outcome, _ in run.slices] == ["retrying", "completed"]
    assert owner.run_script("SELECT step FROM steps ORDER BY step") == [[1], [2]]


def test_two_grants_at_once_are_a_busy_database(owner, connect, team):
    other, told = connect(user="postgres"), []
    owner.begin()
    owner.run_script("GRANT SELECT ON steps TO nightshift_maintenance")

    def grant():
        try:
            other.run_script("GRANT SELECT ON steps TO nightshift_maintenance")
        except DatabaseBusy as exc:
            told.append(str(exc))

    waiting = threading.Thread(target=grant)
    waiting.start()
    look = connect(user="postgres")
    until(lambda: look.run_script("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
    owner.commit()
    waiting.join(30)
    assert told == ["The database was busy: tuple concurrently updated"]


def test_an_exhausted_database_is_a_busy_one_to_all_who_do_not_ask(db, own_queries):
    own_queries["trouble"] = raising("53100", "disk full")
    with pytest.raises(DatabaseBusy, match="The database is short of disk, memory or connections: disk full"):
        db.query("trouble")
    assert issubclass(DatabaseExhausted, DatabaseBusy)


class TestWhyAWorkerWasLost:
    def test_a_slice_begins_with_a_line_that_names_it(self, cloud, db, team, job, caplog):
        row = trigger(team, job_type=job(counting_to(1)), db=db, settings=cloud)
        work(row["id"], 0, db=db, settings=cloud)
        (line,) = [record for record in caplog.records if getattr(record, "action", "") == "slice_begun"]
        assert line.request_id == "test-request"

    def test_a_lost_connection_is_noted_on_the_slice_and_told_in_the_end(self, cloud, db, owner, team, job):
        def cut(run, steps_db):
            steps_db.write("record_step", run_id=run.id, step=1)
            cut_sessions(owner)
            yield Progress(processed=1, total=1, message="", cursor={"done": 1})

        row = trigger(team, job_type=job(cut), db=db, settings=cloud)
        for number in range(5):
            work(row["id"], number, db=db, settings=cloud)
            assert slices(owner, row["id"])[number][2].startswith("Lost the database connection: ")
            age(owner, row["id"], 3600)
            sweep(db=db, settings=cloud)
            received(cloud)
        error = run_row(owner, row["id"])["error"]
        assert error.startswith(
            "Server restarted during execution. Its worker was lost 5 times in a row at step 0. The last time: "
            "Lost the database connection: "
        )

    def test_a_note_that_cannot_be_written_costs_nothing(self, cloud, db, owner, team, job, monkeypatch):
        from nightshift.base.errors import DatabaseGone

        def cut(run, steps_db):
            raise DatabaseGone
            yield

        row = trigger(team, job_type=job(cut), db=db, settings=cloud)
        with closed_to_new_sessions(owner):
            work(row["id"], 0, db=db, settings=cloud)
        assert slices(owner, row["id"]) == [[0, None, None]]

    def test_the_line_at_which_a_job_blocks_is_noted_before_lambda_ends_it(self, cloud, db, owner, team, job):
        noted = []

        def blocking(run, steps_db):
            until(lambda: noted.extend(reason for _, _, reason in slices(owner, run.id) if reason) or noted)
            yield Progress(processed=1, total=1, message="", cursor={"done": 1})
            return {}

        row = trigger(team, job_type=job(blocking), db=db, settings=cloud)
        work(row["id"], 0, db=db, settings=cloud, remaining_s=NOTE_RESERVE_S + 0.05)
        assert noted[0].startswith(
            "The job did not return before Lambda's time limit; it was at support/stack_world.py:"
        )
        # It came back after all, and its own result counts.
        assert slices(owner, row["id"])[0] == [0, "continued", None]

    def test_the_place_is_the_innermost_line_that_is_no_librarys(self):
        begun, end = threading.Event(), threading.Event()

        def of_a_job():
            begun.set()
            end.wait(30)

        thread = threading.Thread(target=of_a_job)
        thread.start()
        begun.wait(30)
        until(lambda: "in of_a_job" in blocked_at(thread.ident))
        end.set()
        thread.join()
        assert "at an unknown line" in blocked_at(thread.ident)

    def test_a_slice_with_little_time_is_not_watched(self):
        said = []
        with watching(said.append, remaining_s=NOTE_RESERVE_S):
            threads = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
        assert (said, threads) == ([], [])


class TestASystemJobThatCannotSignIn:
    @pytest.mark.parametrize("attributes", ["NOLOGIN", None], ids=["NOLOGIN", "gone"])
    def test_fails_at_once_and_says_so(self, cloud, db, owner, superuser, attributes):
        run_id = system_run(owner, "partition_creation")
        with (
            other_role_of_system_jobs(attributes, superuser=superuser, settings=cloud) as settings,
            contextlib.suppress(SignInRefused),
        ):
            work(run_id, 0, db=db, settings=settings)
        ended = run_row(owner, run_id)
        assert (ended["status"], ended["lost_slices"]) == ("failed", 0)
        assert settings.database_maintenance_user in ended["error"]
