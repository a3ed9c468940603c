"""A run, slice by slice: every end of a slice, and late, early and repeated messages."""

import dataclasses
import math

import pytest

from nightshift.aws import queue, sqs
from nightshift.aws.aws_http import AwsRefused
from nightshift.base.errors import BadQuery, DatabaseGone, JobError
from nightshift.jobs import Progress, Retry, Wait
from nightshift.runs import executor
from nightshift.runs.job_steps import MISFIT_RETRY
from nightshift.testing.rows import age, make_team, run_row, slices, sweep, work
from tests.support.executor_world import counting_to, steps_of
from tests.support.world import claim, cut_sessions, received, trigger


def test_a_run_that_fits_one_slice(cloud, db, owner, team, job):
    row = trigger(team, job_type=job(counting_to(3)), db=db, settings=cloud)
    assert received(cloud) == [{"run_id": str(row["id"]), "slice": 0, "group": team.id}]

    work(row["id"], 0, db=db, settings=cloud)

    ended = run_row(owner, row["id"])
    assert ended["status"] == "completed"
    assert ended["result"] == {"counted": 3}
    assert ended["progress"] == {"processed": 3, "total": 3, "message": "Counted 3"}
    assert (ended["lease_expires_at"], ended["resend_at"]) == (None, None)
    assert steps_of(owner, row["id"]) == [1, 2, 3]
    assert slices(owner, row["id"]) == [[0, "completed", None]]
    assert received(cloud) == []


def test_a_run_is_a_chain_of_slices_that_look_like_one(cloud, db, owner, team, job):
    row = trigger(team, job_type=job(counting_to(3)), db=db, settings=cloud)
    received(cloud)

    for number in range(3):
        work(row["id"], number, db=db, settings=cloud, remaining_s=1)  # each slice has time for only one step
        between = run_row(owner, row["id"])
        assert (between["status"], between["slice"]) == ("running", number + 1)
        assert [m["slice"] for m in received(cloud)] == [number + 1]
    work(row["id"], 3, db=db, settings=cloud, remaining_s=1)

    assert run_row(owner, row["id"])["status"] == "completed"
    assert steps_of(owner, row["id"]) == [1, 2, 3]
    assert [outcome for _, outcome, _ in slices(owner, row["id"])] == ["continued"] * 3 + ["completed"]


def test_only_an_ending_that_may_owe_a_mail_is_followed_by_a_question(cloud, db, team, job):
    """The claim and the ending, and then the outbox."""

    def statements(**options):
        row = trigger(team, job_type=job(counting_to(0)), db=db, settings=cloud, **options)
        before = db.statements
        work(row["id"], 0, db=db, settings=cloud)
        return db.statements - before

    assert (statements(), statements(notify=True)) == (2, 3)


def test_messages_twice_old_and_early_change_nothing(cloud, db, owner, team, job):
    row = trigger(team, job_type=job(counting_to(2)), db=db, settings=cloud)
    work(row["id"], 1, db=db, settings=cloud)  # a future number
    assert run_row(owner, row["id"])["status"] == "pending"

    work(row["id"], 0, db=db, settings=cloud, remaining_s=1)
    before = run_row(owner, row["id"])
    statements = db.statements
    work(row["id"], 0, db=db, settings=cloud)  # an old number

    assert db.statements == statements + 1
    assert run_row(owner, row["id"]) == before
    work(row["id"], 1, db=db, settings=cloud)
    ended = run_row(owner, row["id"])
    work(row["id"], 1, db=db, settings=cloud)  # an ended run
    assert run_row(owner, row["id"]) == ended
    assert steps_of(owner, row["id"]) == [1, 2]


def test_a_message_before_its_time_is_sent_on_with_what_remains(cloud, db, owner, team, job):
    def waiting(run, db):
        if run.cursor is None:
            yield Wait(seconds=600.2, why="the moon", cursor={"waited": True})
        return {}

    row = trigger(team, job_type=job(waiting), db=db, settings=cloud)
    received(cloud)
    work(row["id"], 0, db=db, settings=cloud)
    assert slices(owner, row["id"]) == [[0, "waiting", "the moon"]]
    sent = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "send", sent.append)
        work(row["id"], 1, db=db, settings=cloud)
    assert 0 < sent[0].delay_s <= 600.2
    # Rounded up, so that the message does not arrive early again and again.
    assert sent[0].entry()["DelaySeconds"] == math.ceil(sent[0].delay_s)
    early = run_row(owner, row["id"])
    assert (early["status"], early["slice"], early["lease_expires_at"]) == ("running", 1, None)

    age(owner, row["id"], 601)
    work(row["id"], 1, db=db, settings=cloud)
    assert run_row(owner, row["id"])["status"] == "completed"


def test_a_wait_longer_than_sqs_can_delay_is_left_to_the_sweep(cloud, db, owner, team, job):
    def waiting(run, db):
        if run.cursor is None:
            yield Wait(seconds=3600, why="the tide", cursor={"waited": True})
        return {}

    row = trigger(team, job_type=job(waiting), db=db, settings=cloud)
    received(cloud)
    work(row["id"], 0, db=db, settings=cloud)
    waiting_row = run_row(owner, row["id"])
    assert received(cloud) == []
    assert waiting_row["resend_at"] == waiting_row["due_at"]
    assert sweep(db=db, settings=cloud)["resent"] == 0

    age(owner, row["id"], 3601)

    assert sweep(db=db, settings=cloud)["resent"] == 1
    assert [m["slice"] for m in received(cloud)] == [1]
    work(row["id"], 1, db=db, settings=cloud)
    assert run_row(owner, row["id"])["status"] == "completed"


def test_a_wait_commits_what_was_written_before_it_and_moves_the_bar(run_of, owner):
    def waiting(run, db):
        if run.cursor is None:
            db.write("record_step", run_id=run.id, step=1)
            done = Progress(processed=1, total=2, message="half", cursor=None)
            yield Wait(seconds=5, why="the moon", cursor={"done": 1}, progress=done)
        return {}

    run = run_of(waiting).work()
    between = run.row
    assert (between["status"], between["waiting_for"], between["cursor"]) == ("running", "the moon", {"done": 1})
    assert between["progress"] == {"processed": 1, "total": 2, "message": "half"}
    assert steps_of(owner, run.id) == [1]


def test_an_exception_fails_the_run_and_keeps_what_was_committed(run_of, owner):
    def failing(done):
        if done == 2:
            raise ValueError("the third step is broken")

    run = run_of(counting_to(5, then=failing)).work()

    ended = run.row
    assert (ended["status"], ended["error"]) == ("failed", "ValueError: the third step is broken")
    assert ended["progress"]["processed"] == 2
    assert steps_of(owner, run.id) == [1, 2]


def test_rows_written_after_the_last_yield_go_with_the_exception(run_of, owner):
    def failing(run, db):
        db.write("record_step", run_id=run.id, step=1)
        yield Progress(processed=1, total=2, message="", cursor={"done": 1})
        db.write("record_step", run_id=run.id, step=2)
        raise JobError("The provider says no")

    run = run_of(failing, retry=Retry(attempts=3)).work()

    assert run.row["error"] == "The provider says no"  # JobError is final under every retry policy
    assert steps_of(owner, run.id) == [1]


def test_the_retry_policy_waits_longer_each_time_and_counts_anew_when_the_cursor_moves(cloud, db, owner, team, job):
    fails = iter([True, True, False, True, True, True])

    def flaky(run, db):
        if next(fails):
            raise OSError("reset by peer")
        yield Progress(processed=1, total=2, message="", cursor={"done": 1})
        raise OSError("reset by peer")

    row = trigger(team, job_type=job(flaky, retry=Retry(attempts=2, delay_s=10)), db=db, settings=cloud)
    waits = []
    for number in range(6):
        work(row["id"], number, db=db, settings=cloud)
        if run_row(owner, row["id"])["status"] != "running":
            break
        waits.append(owner.run_script(f"SELECT wait_s FROM job_timeline WHERE slice = {number}")[0][0])
        age(owner, row["id"], 60)

    assert waits == [10, 20, 10, 20]
    assert run_row(owner, row["id"])["status"] == "failed"
    assert slices(owner, row["id"])[0] == [0, "retrying", "retry 1 of 2 after: OSError: reset by peer"]


@pytest.mark.parametrize("result", [["a", "list"], {"not": object()}, {"nan": float("nan")}])
def test_a_result_that_is_not_a_json_object_fails_the_run(run_of, owner, result):
    def returning(run, db):
        db.write("record_step", run_id=run.id, step=1)
        return result
        yield

    run = run_of(returning).work()

    assert run.row["status"] == "failed"
    assert steps_of(owner, run.id) == []


@pytest.mark.parametrize(
    ("wrote", "reads", "steps"),
    [
        pytest.param(1, 1, [1, 2, 3], id="the same version goes on from its cursor"),
        pytest.param(1, 2, [1, 1, 2, 3], id="a new version starts over"),
        pytest.param(2, 1, [1, 1, 2, 3], id="so does the old one after a rollback"),
    ],
)
def test_a_cursor_is_read_by_the_version_that_wrote_it(run_of, owner, written_by, wrote, reads, steps):
    written_by(wrote)
    run = run_of(counting_to(3)).work(remaining_s=1)
    assert (run.row["cursor"], run.row["cursor_version"]) == ({"done": 1}, wrote)
    written_by(reads)
    run.work()
    ended = run.row
    assert (ended["status"], ended["result"]) == ("completed", {"counted": 3})
    assert (ended["progress"]["processed"], ended["cursor_version"]) == (3, reads)
    assert steps_of(owner, run.id) == steps


class TestCodeAheadOfItsPackages:
    """Code that is newer or older than the layer of packages, while CloudFormation has updated only one of them."""

    def missing_module(run, db):
        import of_the_next_release  # noqa: F401

        yield

    def missing_name(run, db):
        from nightshift.jobs.author_api import OfTheNextRelease  # noqa: F401

        yield

    MISFITS = (missing_module, missing_name)

    def missing_attribute(run, db):
        yield run.of_the_next_release

    def missing_argument(run, db):
        yield Progress(processed=1, total=1, message="", cursor=None, of_the_next_release=True)

    def missing_column(run, db):
        yield db.read("ping")[0]["of_the_next_release"]

    def missing_query(run, db):
        yield db.read("of_the_next_release")

    def missing_parameter(run, db):
        yield db.read("is_cancelled")

    @pytest.mark.parametrize("misfit", MISFITS, ids=lambda misfit: misfit.__name__)
    def test_the_run_waits_and_goes_on_from_its_checkpoint(self, cloud, db, owner, team, job, misfit):
        row = trigger(team, job_type=job(counting_to(3)), db=db, settings=cloud)
        work(row["id"], 0, db=db, settings=cloud, remaining_s=1)
        job(misfit)
        work(row["id"], 1, db=db, settings=cloud)
        assert run_row(owner, row["id"])["status"] == "running"
        age(owner, row["id"], 300)
        sweep(db=db, settings=cloud)
        job(counting_to(3))
        work(row["id"], 2, db=db, settings=cloud)
        assert run_row(owner, row["id"])["status"] == "completed"
        assert steps_of(owner, row["id"]) == [1, 2, 3]

    @pytest.mark.parametrize(
        ("mistake", "sentence"),
        [
            (missing_attribute, "AttributeError: 'RunHandle' object has no attribute 'of_the_next_release'"),
            (missing_argument, "TypeError: Progress.__init__() got an unexpected keyword argument"),
            (missing_column, "KeyError: 'of_the_next_release'"),
            (
                missing_query,
                "Unknown query of_the_next_release: of_the_next_release.sql is neither in sql/queries nor beside a job",
            ),
            (missing_parameter, "Query is_cancelled was called with the wrong parameters; missing: run_id, slice"),
        ],
    )
    def test_a_mistake_in_the_job_fails_its_run_at_once(self, run_of, mistake, sentence):
        run = run_of(mistake).work()
        assert run.row["status"] == "failed"
        assert run.row["error"].startswith(sentence)

    @pytest.mark.parametrize("misfit", MISFITS, ids=lambda misfit: misfit.__name__)
    def test_a_mistake_fails_its_run_nevertheless(self, cloud, db, owner, team, job, misfit):
        row = trigger(team, job_type=job(misfit), db=db, settings=cloud)
        for _ in range(cloud.lost_slices_limit):
            work(row["id"], run_row(owner, row["id"])["slice"], db=db, settings=cloud)
            age(owner, row["id"], 300)
            sweep(db=db, settings=cloud)
        assert run_row(owner, row["id"])["status"] == "failed"

    def test_it_waits_longer_than_an_update_of_a_function_takes(self):
        waits = [MISFIT_RETRY.delay_before(failure) for failure in range(1, MISFIT_RETRY.attempts + 1)]
        assert sum(waits) >= 60


class TestCancel:
    def test_a_pending_run_ends_at_once(self, run_of, db, owner):
        run = run_of(counting_to(3))
        assert db.one("cancel_run", run_id=run.id, requested_by="me")["status"] == "cancelled"
        run.work()
        assert run.row["status"] == "cancelled"
        assert steps_of(owner, run.id) == []

    def test_between_slices_it_ends_at_once(self, run_of, db):
        run = run_of(counting_to(3)).work(remaining_s=1)
        assert db.one("cancel_run", run_id=run.id, requested_by="me")["status"] == "cancelled"

    def test_a_working_slice_stops_at_its_next_yield_and_keeps_that_step(self, cloud, db, connect, owner, team, job):
        other = connect()

        def cancel(done):
            if done == 1:
                assert other.one("cancel_run", run_id=row["id"], requested_by="me")["status"] == "running"

        row = trigger(team, job_type=job(counting_to(5, then=cancel)), db=db, settings=cloud)
        work(row["id"], 0, db=db, settings=cloud)
        assert run_row(owner, row["id"])["status"] == "cancelled"
        assert steps_of(owner, row["id"]) == [1, 2]
        assert slices(owner, row["id"]) == [[0, "cancelled", None]]

    @pytest.mark.parametrize("end", ["return", "raise", "wait", "out of time"])
    def test_a_cancel_that_was_accepted_beats_every_other_ending(self, cloud, db, connect, owner, team, job, end):
        other = connect()

        def ending(run, db):
            db.write("record_step", run_id=run.id, step=1)
            other.query("cancel_run", run_id=row["id"], requested_by="me")
            match end:
                case "raise":
                    raise JobError("too late")
                case "wait":
                    yield Wait(seconds=5, why="x", cursor={"a": 1})
                case "out of time":
                    yield Progress(processed=1, total=1, message="", cursor={"a": 1})
            return {"done": True}

        row = trigger(team, job_type=job(ending), db=db, settings=cloud)
        received(cloud)
        work(row["id"], 0, db=db, settings=cloud, remaining_s=1)
        ended = run_row(owner, row["id"])
        assert (ended["status"], ended["result"], ended["error"]) == ("cancelled", None, None)
        assert received(cloud) == []

    def test_a_finish_that_committed_first_stands(self, run_of, db):
        run = run_of(counting_to(1)).work()
        assert db.one("cancel_run", run_id=run.id, requested_by="me") is None
        assert run.row["status"] == "completed"

    def test_an_expired_slice_ends_cancelled_not_failed(self, cloud, db, owner, team, job):
        row = self._abandoned(cloud, db, team, job)
        owner.run_script("UPDATE job_runs SET lost_slices = 4")
        db.query("cancel_run", run_id=row["id"], requested_by="me")
        age(owner, row["id"], 3600)
        assert sweep(db=db, settings=cloud)["ended"] == 1
        assert run_row(owner, row["id"])["status"] == "cancelled"

    @staticmethod
    def _abandoned(cloud, db, team, job):
        row = trigger(team, job_type=job(counting_to(1)), db=db, settings=cloud)
        claim(db, row["id"], 0, lease_s=100, request_id="dead")
        return row


class TestLostSlices:
    def test_the_run_goes_on_from_its_checkpoint_under_the_next_number(self, cloud, db, connect, owner, team, job):
        def dies(done):
            if done == 2:
                raise DatabaseGone

        row = trigger(team, job_type=job(counting_to(4, then=dies)), db=db, settings=cloud)
        received(cloud)
        work(row["id"], 0, db=db, settings=cloud)
        assert run_row(owner, row["id"])["status"] == "running"
        assert sweep(db=connect(), settings=cloud)["recovered"] == 0  # the lease is still valid
        age(owner, row["id"], 3600)

        assert sweep(db=connect(), settings=cloud)["recovered"] == 1

        assert [m["slice"] for m in received(cloud)] == [1]
        job(counting_to(4))
        work(row["id"], 1, db=db, settings=cloud)
        assert steps_of(owner, row["id"]) == [1, 2, 3, 4]
        assert [outcome for _, outcome, _ in slices(owner, row["id"])] == ["lost", "completed"]

    def test_a_stale_worker_changes_nothing(self, cloud, db, connect, owner, team, job):
        """It freezes before a yield, the sweep takes over the run, another worker finishes it, and it thaws."""
        other = connect()

        def meanwhile(done):
            if done == 2:
                job(counting_to(4))
                age(owner, row["id"], 3600)
                sweep(db=other, settings=cloud)
                work(row["id"], 1, db=other, settings=cloud)

        row = trigger(team, job_type=job(counting_to(4, then=meanwhile)), db=db, settings=cloud)
        work(row["id"], 0, db=db, settings=cloud)

        assert run_row(owner, row["id"])["status"] == "completed"
        assert steps_of(owner, row["id"]) == [1, 2, 3, 4]
        assert not db.in_transaction

    def test_at_the_limit_the_run_fails_with_the_sentence(self, cloud, db, owner, team, job):
        row = trigger(team, job_type=job(counting_to(1)), db=db, settings=cloud)
        for number in range(5):
            claim(db, row["id"], number, lease_s=100, request_id="dead")
            age(owner, row["id"], 3600)
            sweep(db=db, settings=cloud)
        ended = run_row(owner, row["id"])
        assert (ended["status"], ended["error"]) == (
            "failed",
            "Server restarted during execution. Its worker was lost 5 times in a row at step 0. The last time: "
            "Its worker did not end it before the lease was over",
        )
        assert ended["lost_slices"] == 5

    def test_only_a_cursor_that_moved_sets_the_count_back(self, cloud, db, owner, team, job):
        def standing_still(run, db):
            yield Progress(processed=0, total=1, message="", cursor={"at": 1})
            raise DatabaseGone

        row = trigger(team, job_type=job(standing_still), db=db, settings=cloud)
        for number in range(6):
            work(row["id"], number, db=db, settings=cloud)
            age(owner, row["id"], 3600)
            sweep(db=db, settings=cloud)
        # Only the first slice moved the cursor; the next five did not.
        assert run_row(owner, row["id"])["error"].startswith(
            "Server restarted during execution. Its worker was lost 5 "
        )

    def test_an_expired_lease_is_never_claimed_over(self, cloud, db, owner, team, job):
        row = trigger(team, job_type=job(counting_to(1)), db=db, settings=cloud)
        claim(db, row["id"], 0, lease_s=100, request_id="slow")
        age(owner, row["id"], 3600)
        work(row["id"], 0, db=db, settings=cloud)
        assert steps_of(owner, row["id"]) == []


class TestResend:
    def test_a_lost_first_message_is_sent_again_and_again_but_ever_later(self, cloud, db, owner, team, job):
        row = trigger(team, job_type=job(counting_to(1)), db=db, settings=cloud)
        received(cloud)
        waits = []
        for _ in range(7):
            age(owner, row["id"], 3700)
            assert sweep(db=db, settings=cloud)["resent"] == 1
            assert sweep(db=db, settings=cloud)["resent"] == 0
            waits.append(
                owner.run_script(
                    "SELECT round(extract(epoch FROM resend_at - clock_timestamp()) / 60)::int FROM job_runs"
                )
            )
        assert [w[0][0] for w in waits] == [4, 8, 16, 32, 60, 60, 60]
        assert len(received(cloud)) == 7

        work(row["id"], 0, db=db, settings=cloud)
        assert run_row(owner, row["id"])["status"] == "completed"

    def test_a_burst_heals_in_bounded_batches_and_two_sweeps_share_it(self, cloud, connect, owner):
        team = make_team(owner, slug="many", projects=30)
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at)"
            " SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', clock_timestamp() - interval '1 s'"
            f" FROM projects WHERE team_id = '{team.id}'"
        )
        small = dataclasses.replace(cloud, sweep_batch=20)
        first, second = connect(), connect()
        first.begin()
        keys = [row["key"] for row in first.query("due_runs", at_most=20)]
        rows = first.query("resend_due", keys=keys, resend_delay_s=120, resend_ceiling_s=3600)
        counts = sweep(db=second, settings=small)  # while the first sweep still holds its rows
        first.commit()
        assert (len(rows), counts["resent"]) == (20, 10)


def test_one_batch_that_sqs_refuses_does_not_keep_the_others_back(cloud, db, owner, monkeypatch):
    make_team(owner, projects=100)
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at)"
        " SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', clock_timestamp() FROM projects"
    )
    batches = []

    def send_message_batch(queue_url, entries):
        batches.append(len(entries))
        if len(batches) == 3:
            raise AwsRefused("sqs", "InternalError", "a moment of trouble", passing=True)
        return []

    monkeypatch.setattr(sqs, "send_message_batch", send_message_batch)
    counts = sweep(db=db, settings=cloud)
    assert (len(batches), counts["resent"], counts["refused"]) == (10, 100, 10)


def test_an_unknown_failure_of_the_send_does_not_fail_the_slice(cloud, db, owner, team, job, monkeypatch):
    row = trigger(team, job_type=job(counting_to(2)), db=db, settings=cloud)

    def refuse(message):
        raise ConnectionError("SQS is away")

    monkeypatch.setattr(executor.queue, "send", refuse)
    work(row["id"], 0, db=db, settings=cloud, remaining_s=1)
    assert run_row(owner, row["id"])["slice"] == 1


def test_the_first_statement_of_a_sweep_and_of_a_slice_survives_a_dead_connection(cloud, db, owner, team, job):
    row = trigger(team, job_type=job(counting_to(1)), db=db, settings=cloud)
    cut_sessions(owner)
    assert sweep(db=db, settings=cloud)["resent"] == 0
    cut_sessions(owner)
    work(row["id"], 0, db=db, settings=cloud)
    assert run_row(owner, row["id"])["status"] == "completed"


def test_an_answer_that_the_driver_cannot_read_does_not_become_the_next_statements(db):
    db.query("ping")
    with pytest.raises(DatabaseGone, match=r"the driver could not read the answer \(ValueError\)$"):
        db.run_script("SELECT CAST('24:00:00' AS time) AS ok UNION ALL SELECT '01:00:00'")
    assert db.query("ping")[0]["ok"] == 1


@pytest.mark.parametrize(
    ("name", "params", "sentence"),
    [
        ("pong", {}, "Unknown query pong: pong.sql is neither in sql/queries nor beside a job"),
        ("ping", {"id": 1}, "Query ping was called with the wrong parameters; unknown: id"),
        ("find_user", {"id": 1}, "Query find_user was called with the wrong parameters; missing: user_id; unknown: id"),
        ("numbered", {"id": 1}, "Query numbered cannot be used: numbered.sql, line 1 has .1; give the"),
    ],
)
def test_a_query_that_is_called_wrongly_says_so_and_costs_neither_statement_nor_connection(
    db, own_queries, name, params, sentence
):
    session, before = db.run_script("SELECT pg_backend_pid()"), db.statements
    with pytest.raises(BadQuery, match=sentence):
        db.query(name, **params)
    assert db.statements == before
    assert db.run_script("SELECT pg_backend_pid()") == session


def test_what_cannot_be_sent_costs_no_connection(db, owner):
    session = db.run_script("SELECT pg_backend_pid()")
    with pytest.raises(UnicodeEncodeError):
        db.query("list_system_runs", job_type="\ud800", status=None, limit=1)
    assert db.run_script("SELECT pg_backend_pid()") == session


def test_a_sweep_that_finds_nothing_costs_one_statement_and_no_message(cloud, db):
    before = db.statements
    assert not any(sweep(db=db, settings=cloud).values())
    assert db.statements - before == 1
