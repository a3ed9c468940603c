"""The executor's decisions around a job, with exact values: times, numbers of attempts, and state left behind."""

import contextlib
import dataclasses
import io
import json
from datetime import datetime

import pytest
from pg8000.exceptions import DatabaseError

from nightshift.aws import sqs
from nightshift.base.errors import DatabaseGone, DatabaseLocked, JobError, UnknownJob, sentence
from nightshift.base.logger import logger
from nightshift.database import queries
from nightshift.jobs import Progress, Retry, Wait
from nightshift.runs import executor, requests
from nightshift.testing.rows import age, sweep, work
from tests.support.executor_world import counting_to, steps_of
from tests.support.world import cut_sessions, other_role_of_system_jobs, state_of


@pytest.fixture
def sent(run_of, monkeypatch):
    """Collect the delay of each message that a worker sends."""
    delays = []
    monkeypatch.setattr(sqs, "send_message", lambda url, entry: delays.append(entry["DelaySeconds"]))
    return delays


@pytest.mark.parametrize(("seconds", "delays"), [(0, [0]), (0.2, [1]), (900, [900]), (900.5, []), (3600, [])])
def test_a_wait_that_sqs_can_hold_is_sent_and_a_longer_one_is_the_sweeps(run_of, sent, seconds, delays):
    def waiting(run, db):
        yield Wait(seconds=seconds, why="the tide", cursor={"at": 1})

    run = run_of(waiting)
    sent.clear()
    run.work()
    assert sent == delays
    assert (run.row["resend_at"] == run.row["due_at"]) == (delays == [])


@pytest.mark.parametrize("how", ["continued", "waiting", "completed", "failed", "cancelled", "lost"])
def test_nothing_that_a_job_writes_in_its_last_words_outlives_its_slice(run_of, owner, how):
    """Otherwise the next run in this environment would commit it with its own first step."""

    def lingering(run, db):
        try:
            db.write("record_step", run_id=run.id, step=1)
            yield Progress(processed=1, total=2, message="", cursor={"done": 1})
            if how == "cancelled":
                requests.cancel(state_of(owner, this.id).run, requested_by="me", db=owner, settings=this.settings)
            if how == "lost":
                owner.run_script("UPDATE job_runs SET slice = slice + 1")
            yield {
                "waiting": Wait(seconds=1, why="", cursor={"done": 2}),
                "failed": "no step",
            }.get(how) or Progress(processed=2, total=2, message="", cursor={"done": 2})
        finally:
            db.write("record_step", run_id=run.id, step=99)

    this = run_of(lingering)
    work(this.id, 0, db=this.db, settings=this.settings, remaining_s=1 if how == "continued" else 60)
    assert not this.db.in_transaction
    assert not this.db._connection.is_in_transaction
    assert this.row["status"] == (how if how in ("completed", "failed", "cancelled") else "running")
    assert (99 in steps_of(owner, this.id)) == (how == "completed")  # in this case it comes before the end


def test_a_lease_outlives_its_invocation_by_the_margin(run_of, owner):
    leases = []

    def looking(run, db):
        leases.extend(owner.run_script("SELECT round(extract(epoch FROM lease_expires_at - started_at)) FROM job_runs"))
        yield Progress(processed=1, total=1, message="", cursor=None)

    run = run_of(looking)
    margin = dataclasses.replace(run.settings, lease_margin_s=7)
    work(run.id, 0, db=run.db, settings=margin, remaining_s=40)
    assert leases == [[47]]


@pytest.mark.parametrize(
    ("has", "left", "steps"),
    [
        (900, 811, 3),
        (900, 810, 1),  # the budget of 90 s is used up
        (60, 31, 3),
        (60, 30, 1),  # only the reserve is left
    ],
)
def test_a_slice_takes_steps_within_its_budget_and_outside_the_reserve(run_of, has, left, steps):
    """Of the ``has`` seconds at the invocation's start, ``left`` remain after the first step."""
    clock, lasts = [has], []

    def spending(run, db):
        lasts.append(run.slice_left_s)
        for step in (1, 2, 3):
            clock[0] = left
            lasts.append(run.slice_left_s)
            yield Progress(processed=step, total=3, message="", cursor={"done": step})

    run = run_of(spending)
    settings = dataclasses.replace(run.settings, slice_budget_s=90, slice_reserve_s=30)
    executor.work(run.id, 0, db=run.db, settings=settings, remaining_s=lambda: clock[0], request_id="r")
    assert run.row["progress"]["processed"] == steps
    assert lasts[:2] == [min(90, has - 30), min(90, has - 30) - (has - left)]


DEADLOCK = "DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$"
DISK_FULL = "DO $$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$"


@pytest.mark.parametrize(
    ("trouble", "waits"),
    [
        (DEADLOCK, [2, 4, 8, 16, 32]),
        (DISK_FULL, [30, 60, 120, 240, 480, 960, 1920, 3600]),
        (UnknownJob("no code"), [30, 60]),
        (ImportError("x"), [30, 60, 7, 14]),
        (KeyError("x"), [7, 14]),
        (JobError("x"), []),
    ],
    ids=["busy", "exhausted", "unknown", "misfit", "its own", "final"],
)
def test_each_kind_of_trouble_is_tried_again_so_often_and_so_late(run_of, owner, own_queries, trouble, waits):
    own_queries["trouble"] = trouble if isinstance(trouble, str) else "SELECT 1"

    def failing(run, db):
        db.read("trouble")
        if isinstance(trouble, Exception):
            raise trouble
        yield

    run = run_of(failing, retry=Retry(attempts=2, delay_s=7)).finish()
    assert run.row["status"] == "failed"
    assert [wait for (wait,) in owner.run_script("SELECT wait_s FROM job_timeline ORDER BY slice")] == [*waits, None]


@pytest.mark.parametrize(
    ("trouble", "status", "wait"),
    [(UnknownJob("no code"), "failed", None), (ImportError("x"), "running", 7), (DatabaseLocked("x"), "running", 2)],
    ids=["unknown", "misfit", "busy"],
)
def test_where_no_update_is_awaited_missing_code_gets_no_time(run_of, owner, trouble, status, wait):
    """The other policies apply: of the job for its exceptions, and of the executor for a busy database."""

    def failing(run, db):
        raise trouble
        yield

    run = run_of(failing, retry=Retry(attempts=2, delay_s=7))
    settings = dataclasses.replace(run.settings, awaits_updates=0)
    executor.work(run.id, 0, db=run.db, settings=settings, remaining_s=lambda: 60, request_id="r")
    assert run.row["status"] == status
    assert owner.run_script("SELECT wait_s FROM job_timeline") == [[wait]]


@pytest.mark.parametrize(
    ("change", "cancelled"),
    [
        ("lost_slices = 1", False),
        ("lease_expires_at = clock_timestamp()", False),  # the lease holder stays the same
        ("cancel_requested_at = clock_timestamp()", True),
        ("slice = slice + 1", True),
        ("status = 'failed', error = 'e', completed_at = clock_timestamp(), lease_expires_at = NULL", True),
        (None, True),
    ],
    ids=["live", "expired", "requested", "taken", "ended", "gone"],
)
def test_a_job_can_ask_whether_it_still_has_its_run(run_of, owner, change, cancelled):
    answers = []

    def asking(run, db):
        answers.append(run.is_cancelled())
        if change:
            owner.run_script(f"UPDATE job_runs SET {change}")
        else:
            owner.run_script("DELETE FROM job_slices; DELETE FROM job_runs")
        answers.append(run.is_cancelled())
        yield Progress(processed=1, total=1, message="", cursor=None)

    run_of(asking).work()
    assert answers == [False, cancelled]


def test_a_run_started_when_its_first_slice_was_claimed(run_of):
    run = run_of(counting_to(3)).work(remaining_s=1)
    started = run.row["started_at"]
    assert run.finish(remaining_s=1).row["started_at"] == started
    first, following, *_ = [at for (at,) in run.owner.run_script("SELECT started_at FROM job_timeline ORDER BY slice")]
    assert datetime.fromisoformat(run.row["created_at"]) <= datetime.fromisoformat(started) <= first < following


def test_every_checkpoint_is_of_the_version_that_wrote_it(run_of, written_by):
    def versions(run, db):
        yield Progress(processed=1, total=2, message="", cursor={"at": 1})
        kept.append(this.row["cursor_version"])
        yield Wait(seconds=0, why="", cursor={"at": 2})

    kept = []
    this = run_of(versions)
    written_by(3)
    versions.__module__ = counting_to.__module__
    this.work()
    assert [*kept, this.row["cursor_version"]] == [3, 3]


def test_the_first_caller_that_cancels_is_the_one_that_is_named(run_of, owner):
    def cancelled_twice(run, db):
        for caller in ("manual:user:ada", "soft_delete_cleanup"):
            requests.cancel(state_of(owner, this.id).run, requested_by=caller, db=owner, settings=this.settings)
            asked.append((this.row["cancel_requested_at"], this.row["cancel_requested_by"]))
        yield Progress(processed=1, total=2, message="", cursor=None)

    asked = []
    this = run_of(cancelled_twice)
    this.work()
    assert asked[0] == asked[1] == (this.row["cancel_requested_at"], "manual:user:ada")
    assert this.row["status"] == "cancelled"


def test_the_bar_of_an_ended_run_says_what_was_done(run_of):
    def half(run, db):
        yield Progress(processed=1, total=4, message="One", cursor={"at": 1})
        if failing:
            raise ValueError
        return {}

    failing = True
    assert run_of(half).work().row["progress"] == {"processed": 1, "total": 4, "message": "One"}
    failing = False
    assert run_of(half).work().row["progress"] == {"processed": 4, "total": 4, "message": "One"}


@pytest.mark.parametrize(("scope", "role"), [("project", "nightshift_worker"), ("system", "nightshift_maintenance")])
def test_a_job_works_in_the_role_of_its_scope_and_no_other_connection_is_kept(
    job, job_run, team, own_queries, scope, role
):
    own_queries["whoami"] = "SELECT CAST(current_user AS text) AS role"
    held = []

    def asking(run, db):
        held.append((db.read("whoami")[0]["role"], run.project_id, db._db))
        yield Progress(processed=1, total=1, message="", cursor=None)

    job(asking, scope=scope)
    run = job_run("counting", team=team if scope == "project" else None).work(remaining_s=1)
    [(worked_as, project_id, connection)] = held
    assert (run.slices[0][1], worked_as) == ("continued", role)
    assert project_id == (team.project_id if scope == "project" else None)
    assert (connection is run.db) == (scope == "project")
    assert (connection._connection is None) == (scope == "system")
    assert run.db._connection


def test_a_system_job_that_finds_no_connection_abandons_its_slice(job, job_run, superuser):
    job(counting_to(1), scope="system")
    run = job_run("counting")
    how = {"superuser": superuser, "settings": run.settings}
    with other_role_of_system_jobs("LOGIN CONNECTION LIMIT 0", **how) as run.settings:
        run.work()
    [[outcome, reason]] = run.owner.run_script("SELECT outcome, reason FROM job_timeline")
    assert (run.row["status"], outcome) == ("running", None)
    assert "too many connections for role" in reason


@pytest.mark.parametrize("scope", ["project", "system"])
def test_a_system_job_connects_past_a_pooler_and_a_project_job_through_it(job, job_run, team, scope):
    job(counting_to(1), scope=scope)
    run = job_run("counting", team=team if scope == "project" else None)
    # No server listens there.
    run.settings = dataclasses.replace(run.settings, database_direct_host="127.0.0.1", database_direct_port=1)
    run.work()
    [[reason]] = run.owner.run_script("SELECT reason FROM job_timeline")
    assert run.row["status"] == ("completed" if scope == "project" else "running")
    assert ("Cannot connect to the database at 127.0.0.1:1:" in str(reason)) == (scope == "system")


def test_a_job_that_returns_nothing_has_an_empty_result(run_of):
    def silent(run, db):
        yield Progress(processed=1, total=1, message="", cursor=None)

    assert run_of(silent).work().result == {}


def test_a_run_that_is_over_has_no_message_to_send(run_of, caplog):
    run_of(counting_to(1)).work()
    assert "send_failed" not in {getattr(record, "action", "") for record in caplog.records}


def test_a_slice_that_hands_over_asks_the_database_nothing_more(run_of, monkeypatch):
    run, asked = run_of(counting_to(2)), []
    real = run.db.query
    monkeypatch.setattr(run.db, "query", lambda name, /, **params: asked.append(name) or real(name, **params))
    before = run.db.statements
    run.work(remaining_s=1)
    assert asked == ["claim_slice", "record_step", "save_progress", "end_slice"]
    assert run.db.statements - before == len([*asked, "BEGIN", "COMMIT"])


@pytest.mark.parametrize("how", ["lost", "cancelled"])
def test_a_step_that_is_not_kept_lets_go_of_its_locks_before_the_jobs_last_words(run_of, owner, own_queries, how):
    own_queries["touch"] = "UPDATE steps SET step = step + 1"

    def ending(run, db):
        yield Progress(processed=1, total=2, message="", cursor={"at": 1})
        if how == "lost":
            owner.run_script("UPDATE job_runs SET slice = slice + 1")
        else:
            requests.cancel(state_of(owner, this.id).run, requested_by="me", db=owner, settings=this.settings)
        try:
            db.write("touch")
            yield Wait(seconds=1, why="", cursor={"at": 2})
        finally:
            owner.run_script("SELECT FROM steps FOR UPDATE NOWAIT")
            let_go.append(True)

    let_go = []
    owner.run_script("INSERT INTO steps VALUES ('x', 1)")
    this = run_of(ending)
    this.work()
    assert let_go == [True]
    assert owner.run_script("SELECT step FROM steps") == [[1]]


def test_a_cancel_that_is_met_in_the_midst_of_a_step_keeps_nothing_of_it(job, job_run, team):
    def interrupted(run, db):
        db.write("record_step", run_id=run.id, step=1)
        requests.cancel(state_of(this.owner, this.id).run, requested_by="me", db=this.owner, settings=this.settings)
        db.run_alone("CREATE TABLE made (id int)", patience_ms=50)
        yield Progress(processed=1, total=1, message="", cursor=None)

    job(interrupted, scope="system")
    this = job_run("counting")
    this.owner.run_script("GRANT ALL ON steps TO nightshift_maintenance")
    this.work()
    assert (this.row["status"], steps_of(this.owner, this.id)) == ("cancelled", [])
    assert this.owner.run_script("SELECT to_regclass('made')") == [[None]]


@pytest.mark.parametrize("where", ["at its yield", "alone"])
@pytest.mark.parametrize(("how", "told"), [("lost", "slice_lost"), ("cancelled", "run_cancelled")])
def test_a_slice_that_is_taken_from_its_job_is_no_failure_of_the_job(job, job_run, owner, caplog, how, told, where):
    def working(run, db):
        if how == "lost":
            owner.run_script("UPDATE job_runs SET slice = slice + 1")
        else:
            requests.cancel(state_of(owner, this.id).run, requested_by="me", db=owner, settings=this.settings)
        if where == "alone":
            db.run_alone("SELECT 1", patience_ms=50)
        yield Progress(processed=1, total=2, message="", cursor={"at": 1})

    job(working, scope="system", retry=Retry(attempts=1))
    this = job_run("counting")
    caplog.clear()
    this.work()
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert told in actions
    assert not {"run_failed", "slice_retried"} & set(actions)


@pytest.mark.parametrize("how", ["goes up", "becomes another error"])
def test_a_connection_that_the_job_finds_lost_is_not_its_failure(run_of, owner, how):
    def cut(run, db):
        cut_sessions(owner)
        try:
            db.read("ping")
        except DatabaseGone:
            if how == "goes up":
                raise
            raise ValueError("It broke") from None
        yield

    run = run_of(cut, retry=Retry(attempts=1)).work()
    assert (run.row["status"], run.row["slice"], run.row["failed_attempts"]) == ("running", 0, {})
    [[outcome, reason]] = owner.run_script("SELECT outcome, reason FROM job_timeline")
    assert outcome is None
    assert reason.startswith("Lost the database connection: ")


@pytest.mark.parametrize(("remaining_s", "left_s"), [(60, 55), (3, 0)])
def test_a_job_may_spend_what_remains_but_for_its_last_commit(run_of, remaining_s, left_s):
    def looking(run, db):
        found.append(run.remaining_s)
        yield Progress(processed=1, total=1, message="", cursor=None)

    found = []
    run_of(looking).work(remaining_s=remaining_s)
    assert found == [left_s]


@pytest.mark.parametrize(("remaining_s", "notes"), [(5.9, False), (6, True)])
def test_a_note_is_written_while_there_is_time_for_a_connection(run_of, owner, remaining_s, notes):
    def cut(run, db):
        cut_sessions(owner)
        db.read("ping")
        yield

    run = run_of(cut).work(remaining_s=remaining_s)
    assert owner.run_script("SELECT reason IS NOT NULL FROM job_timeline") == [[notes]]
    assert run.row["status"] == "running"


def test_a_job_finds_the_default_of_what_its_run_was_made_without(run_of, owner):
    def looking(run, db):
        found.append(run.params)
        yield Progress(processed=1, total=1, message="", cursor=None)

    found = []
    run = run_of(looking, params="nightshift_jobs.revenuecat_sync.params:RevenueCatSyncParams")
    owner.run_script('UPDATE job_runs SET params = \'{"project_id": "p"}\'')
    run.work()
    assert found == [{"project_id": "p", "include_sandbox": False, "mode": "incremental"}]


def test_a_step_is_committed_and_shown_at_its_yield(run_of, owner):
    def looking(run, db):
        shown.append((run.cursor, run.progress, run.failures))
        db.write("record_step", run_id=run.id, step=1)
        yield Progress(processed=1, total=2, message="One", cursor={"at": 1})
        shown.append((run.cursor, run.progress, run.failures))
        assert steps_of(owner, run.id) == [1]
        return {}

    shown = []
    run = run_of(looking)
    owner.run_script('UPDATE job_runs SET failed_attempts = \'{"busy": 2, "job": 1}\'')
    assert run.work().row["status"] == "completed"
    assert shown == [(None, None, 3), ({"at": 1}, {"processed": 1, "total": 2, "message": "One"}, 0)]


def test_a_step_begins_one_transaction_and_may_go_back_to_the_start(run_of):
    def returning(run, db):
        yield Progress(processed=1, total=2, message="", cursor={"at": 1})
        before = this.db.statements
        for step in (1, 2):
            db.write("record_step", run_id=run.id, step=step)
        asked.append(this.db.statements - before)
        yield Progress(processed=2, total=2, message="", cursor=None)
        asked.append(run.cursor)

    asked = []
    this = run_of(returning)
    this.work()
    assert this.row["status"] == "completed"
    assert asked == [len(["BEGIN", "record_step", "record_step"]), None]


CUT = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.mark.parametrize(
    ("asks", "says", "ends"),
    [
        # Outside a transaction the next query runs; the step is refused at its yield, with its first error.
        (["no_number", "ping"], "fine", "division by zero"),
        (["no_number", "no_table"], 'relation "nowhere" does not exist', "division by zero"),
        # In a transaction Postgres accepts no further statement, and a new session lacks the lost one's writes.
        (["record_nothing", "ping"], "division by zero", "division by zero"),
        (["cut", "ping"], "Lost the database connection", None),
    ],
    ids=["a read", "two reads", "a write", "a lost connection"],
)
def test_a_steps_first_error_stands_though_the_job_swallows_it(run_of, own_queries, asks, says, ends):
    own_queries |= {"no_number": "SELECT 1 / 0", "no_table": "SELECT FROM nowhere", "cut": CUT}
    own_queries["record_nothing"] = "INSERT INTO steps VALUES ('x', 1 / 0)"
    said = []

    def shrugging(run, db):
        for query in asks:
            try:
                (db.write if query.startswith("record") else db.read)(query)
                said.append("fine")
            except Exception as exc:
                said.append(sentence(exc))
        yield Progress(processed=1, total=1, message="", cursor=None)

    run = run_of(shrugging).work()
    assert said[1].startswith(says)
    assert (run.row["status"], run.row["error"]) == (("failed", ends) if ends else ("running", None))


def test_a_job_that_swallows_an_error_fails_by_its_own(run_of, own_queries):
    own_queries["no_number"] = "SELECT 1 / 0"

    def shrugging(run, db):
        with contextlib.suppress(DatabaseError):
            db.read("no_number")
        raise ValueError("It broke")
        yield

    assert run_of(shrugging).work().row["error"] == "ValueError: It broke"


def test_a_step_that_moved_the_cursor_gives_all_tries_back_within_its_slice(run_of, owner):
    def unlucky(run, db):
        yield Progress(processed=1, total=2, message="", cursor={"at": 1})
        raise ValueError("It broke")

    run = run_of(unlucky, retry=Retry(attempts=1))
    owner.run_script("UPDATE job_runs SET failed_attempts = '{\"job\": 1}'")
    run.work()
    assert (run.row["status"], run.row["failed_attempts"]) == ("running", {"job": 1})


@pytest.mark.parametrize(
    ("left", "seconds", "refused"),
    [
        (900, 90, None),
        (850, 70, "Wait.seconds is 70, but only 50 of the run's 100 seconds are left"),
        (600, 1, "Wait.seconds is 1, but only 0 of the run's 100 seconds are left"),
    ],
)
def test_a_wait_has_what_the_slice_itself_has_left_of_the_run(run_of, left, seconds, refused):
    """Of the 900 seconds of its invocation, ``left`` remain when the job waits."""
    clock = [900]

    def spending(run, db):
        clock[0] = left
        yield Wait(seconds=seconds, why="", cursor={"at": 1})

    run = run_of(spending, max_duration_s=100)
    executor.work(run.id, 0, db=run.db, settings=run.settings, remaining_s=lambda: clock[0], request_id="r")
    assert (run.row["error"] or "").startswith(refused or "")
    assert run.row["status"] == ("failed" if refused else "running")


@pytest.mark.parametrize("how", ["returns", "raises"])
def test_a_refused_step_fails_the_run_whatever_the_job_does_about_it(run_of, how):
    def stubborn(run, db):
        try:
            yield "no step"
        except JobError:
            if how == "raises":
                raise ValueError("another") from None

    assert run_of(stubborn).work().row["error"] == "A job yields Progress or Wait, got str 'no step'"


def test_a_message_that_comes_at_the_very_moment_is_worked(run_of, own_queries):
    text = queries.query_text("claim_slice")
    assert "CAST(-extract(epoch FROM lag) AS float8)" in text
    own_queries["claim_slice"] = text.replace("CAST(-extract(epoch FROM lag) AS float8)", "CAST(0 AS float8)")
    assert run_of(counting_to(1)).work().row["status"] == "completed"


def test_a_lock_that_the_engine_itself_cannot_get_abandons_the_slice(run_of, connect, team):
    """Neither the step, the retry nor a note can be written: the sweep continues from the last committed step."""
    holder = connect(user="postgres")
    first_time = iter([True])

    def locked_out(run, db):
        if next(first_time, False):
            holder.begin()
            holder.run_script("SELECT FROM job_runs FOR UPDATE")
        db.write("record_step", run_id=run.id, step=1)
        yield Progress(processed=1, total=1, message="", cursor={"done": 1})

    run = run_of(locked_out)
    impatient = connect(lock_timeout="1ms")
    work(run.id, 0, db=impatient, settings=run.settings)
    holder.rollback()
    assert (run.row["status"], run.row["slice"], run.row["cursor"]) == ("running", 0, None)
    assert run.owner.run_script("SELECT outcome, reason FROM job_timeline") == [[None, None]]
    assert not impatient.in_transaction
    assert impatient.query("ping")
    assert steps_of(run.owner, run.id) == []
    age(run.owner, run.id, 900)
    sweep(db=connect(), settings=run.settings)
    assert run.slices == [[0, "lost", "Its worker did not end it before the lease was over"]]
    assert run.finish().row["status"] == "completed"


def test_the_lines_of_a_system_jobs_slice_name_no_team(job, job_run, team, monkeypatch):
    job(counting_to(1), scope="system")
    run, written = job_run("counting"), io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", written)
    run.work()
    line = json.loads(written.getvalue().splitlines()[0])
    assert (line["action"], line["run_id"], line.get("team_id")) == ("slice_begun", run.id, None)
