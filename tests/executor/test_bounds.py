"""Endless runs are ended: waits, lost slices and duration have limits."""

import dataclasses

import pytest

from nightshift.jobs import Progress, Retry, Wait
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.testing.job_run import DEADLOCK
from nightshift.testing.rows import age, run_row, sweep, work
from tests.support.executor_world import counting_to, steps_of
from tests.support.world import NO_LINES, claim, received, trigger

HANDLER = JobType.handler


class TestAWaitThatMovesNothing:
    @pytest.mark.parametrize(
        ("began", "waits"),
        [(None, None), ({"at": 1}, {"at": 1}), ({}, {}), ({"a": 1, "b": [2]}, {"b": [2], "a": 1})],
        ids=str,
    )
    def test_is_refused_at_once_and_the_sentence_says_how_it_is_done(self, run_of, began, waits):
        def polling(run, db):
            if began is not None and run.cursor is None:
                yield Progress(processed=0, total=1, message="", cursor=began)
            yield Wait(seconds=60, why="the export", cursor=waits)

        run = run_of(polling).work(remaining_s=1)
        if began is not None:
            run.work()
        assert run.row["status"] == "failed"
        assert run.row["error"].startswith("Wait.cursor must differ from the cursor that the slice began with, ")
        assert run.row["error"].endswith("If the job polls, count the polls in the cursor")

    def test_the_refusal_stands_at_the_authors_own_line(self, run_of, caplog):
        def polling(run, db):
            yield Wait(seconds=60, why="the export", cursor=None)

        run_of(polling).work()
        (failed,) = [record for record in caplog.records if getattr(record, "action", "") == "run_failed"]
        trace = failed.exc_info[2]
        while trace.tb_next:
            trace = trace.tb_next
        assert trace.tb_frame.f_code.co_name == "polling"

    def test_one_that_counts_its_polls_waits(self, run_of):
        def polling(run, db):
            polls = (run.cursor or {"polls": 0})["polls"]
            if polls < 3:
                yield Wait(seconds=60, why="the export", cursor={"polls": polls + 1})
            return {"polls": polls}

        assert run_of(polling).finish().result == {"polls": 3}

    def test_one_that_has_taken_steps_since_may_wait_where_it_is(self, run_of):
        def limited(run, db):
            if run.cursor is None:
                yield Progress(processed=1, total=2, message="", cursor={"done": 1})
                yield Wait(seconds=60, why="the budget", cursor={"done": 1})
            return {}

        assert run_of(limited).finish().row["status"] == "completed"


class TestALostSlice:
    def test_has_a_ceiling_in_total_where_the_cursor_walks_back_and_forth(self, cloud, db, owner, team, job):
        settings = dataclasses.replace(cloud, lost_slices_ceiling=7)
        row = trigger(team, job_type=job(counting_to(1)), db=db, settings=settings)
        for number in range(7):
            assert run_row(owner, row["id"])["status"] != "failed"
            claim(db, row["id"], number)
            moved = {"at": number % 2}
            saved = {
                "cursor": moved,
                "cursor_version": 1,
                "progress": {"processed": number, "total": 9, "message": ""},
            } | NO_LINES
            db.query("save_progress", run_id=row["id"], slice=number, **saved)
            age(owner, row["id"], 3600)
            sweep(db=db, settings=settings)
        ended = run_row(owner, row["id"])
        assert (ended["status"], ended["lost_slices"], ended["lost_in_total"]) == ("failed", 1, 7)
        assert ended["error"] == (
            "Server restarted during execution. Its worker was lost 7 times at step 6 of 9. The last time: "
            "Its worker did not end it before the lease was over"
        )

    def test_that_is_cancelled_at_the_ceiling_is_cancelled(self, cloud, db, owner, team, job):
        row = trigger(team, job_type=job(counting_to(1)), db=db, settings=cloud)
        claim(db, row["id"], 0)
        owner.run_script("UPDATE job_runs SET lost_in_total = 49, cancel_requested_at = now()")
        age(owner, row["id"], 3600)
        sweep(db=db, settings=cloud)
        assert run_row(owner, row["id"])["status"] == "cancelled"


class TestDuration:
    HOUR = 3600

    @pytest.fixture
    def over_time(self, owner):
        """Let the run's longest duration pass."""

        def over_time(run):
            gone = "ends_by - clock_timestamp() + interval '1 s'"
            owner.run_script(
                f"UPDATE job_runs SET started_at = started_at - ({gone}), ends_by = ends_by - ({gone})"
                f" WHERE id = '{run.id}'"
            )

        return over_time

    @pytest.mark.parametrize("hours", [1, 24, 72])
    def test_is_set_by_the_first_claim_and_by_no_other(self, run_of, owner, hours):
        run = run_of(counting_to(3), max_duration_s=hours * self.HOUR)
        assert run.row["ends_by"] is None
        run.work(remaining_s=1)
        first = run.row["ends_by"]
        lasting = f"SELECT round(extract(epoch FROM ends_by - started_at)) FROM job_runs WHERE id = '{run.id}'"
        assert owner.run_script(lasting) == [[hours * self.HOUR]]
        run.work(remaining_s=1)
        assert run.row["ends_by"] == first

    def test_of_a_type_that_the_worker_does_not_know_is_a_day(self, cloud, db, owner, team, job):
        row = trigger(team, job_type=job(counting_to(1)), db=db, settings=cloud)
        owner.run_script("UPDATE job_runs SET job_type = 'of_the_next_release'")
        work(row["id"], 0, db=db, settings=cloud)
        assert owner.run_script("SELECT round(extract(epoch FROM ends_by - started_at)) FROM job_runs") == [[86_400]]

    def test_over_between_two_slices_the_run_is_failed_with_a_sentence(self, cloud, db, owner, run_of, over_time):
        run = run_of(counting_to(3), max_duration_s=36 * self.HOUR).work(remaining_s=1)
        assert not any(sweep(db=db, settings=cloud).values())
        over_time(run)
        run_before = run.row
        work(run.id, 1, db=db, settings=cloud)  # the claim finds no time left
        assert run.row == run_before
        assert sweep(db=db, settings=cloud)["ended"] == 1
        ended = run.row
        assert (ended["status"], ended["cursor"]) == ("failed", {"done": 1})
        assert ended["error"] == "It ran for longer than 36 hours, the most that its job type allows"
        assert (ended["resend_at"], ended["lease_expires_at"]) == (None, None)

    def test_over_while_it_waits_the_sentence_says_for_what(self, cloud, db, run_of, over_time):
        def waiting(run, db):
            yield Wait(seconds=600, why="the moon", cursor={"at": 1})

        run = run_of(waiting, max_duration_s=5400).work()
        over_time(run)
        sweep(db=db, settings=cloud)
        assert run.row["error"] == (
            "It ran for longer than 1.5 hours, the most that its job type allows. It was waiting for the moon"
        )

    def test_over_in_a_slice_that_slice_may_finish_the_run(self, run_of, over_time):
        def counting(run, db):
            over_time(run)
            yield Progress(processed=1, total=1, message="", cursor={"done": 1})
            return {"done": 1}

        assert run_of(counting).work().result == {"done": 1}

    def test_over_in_a_slice_that_is_lost_the_sweep_fails_it_after_raising_its_number(
        self, cloud, db, run_of, over_time
    ):
        run = run_of(counting_to(3)).kill(after=1)
        over_time(run)
        run.work()
        assert (run.row["status"], run.row["slice"]) == ("running", 1)
        sweep(db=db, settings=cloud)
        assert run.row["error"].startswith("It ran for longer than 24 hours")

    def test_a_cancel_that_came_first_stands(self, cloud, db, run_of, over_time):
        run = run_of(counting_to(3)).work(remaining_s=1)
        db.query("cancel_run", run_id=run.id, requested_by="me")
        over_time(run)
        assert not any(sweep(db=db, settings=cloud).values())
        assert run.row["status"] == "cancelled"

    def test_a_pending_run_has_all_its_time_before_it(self, cloud, db, owner, run_of):
        run = run_of(counting_to(1))
        owner.run_script(f"UPDATE job_runs SET created_at = now() - interval '9 days' WHERE id = '{run.id}'")
        sweep(db=db, settings=cloud)
        assert run.row["status"] == "pending"

    def test_its_end_is_told_like_any_other(self, cloud, db, owner, team, job, run_of, over_time):
        by = f"manual:user:{team.users['admin']}"
        row = trigger(team, job_type=job(counting_to(3)), notify=True, triggered_by=by, db=db, settings=cloud)
        work(row["id"], 0, db=db, settings=cloud, remaining_s=1)
        owner.run_script("UPDATE job_runs SET ends_by = clock_timestamp() - interval '1 s'")
        sweep(db=db, settings=cloud)
        assert owner.run_script("SELECT kind, recipient FROM job_outbox") == [["mail", "admin@owls.example"]]

    def test_a_burst_is_ended_in_bounded_batches(self, cloud, db, owner, run_of):
        run_of(counting_to(1))
        owner.run_script(
            "UPDATE job_runs SET status = 'running', started_at = now() - interval '2 days', ends_by = now()"
        )
        owner.run_script(
            "INSERT INTO job_runs (id, job_type, status, triggered_by, started_at, ends_by, resend_at)"
            " SELECT gen_random_uuid(), 'odd_' || n, 'running', 'system', now() - interval '2 days', now(), now()"
            " FROM generate_series(1, 24) n"
        )
        assert sweep(db=db, settings=dataclasses.replace(cloud, sweep_batch=10))["ended"] == 25

    def test_a_longer_wait_is_refused_at_its_line(self, run_of):
        def patient(run, db):
            yield Wait(seconds=7_201, why="the tide", cursor={"at": 1})

        error = run_of(patient, max_duration_s=7_200).work().row["error"]
        assert error == (
            "Wait.seconds is 7201, but only 7200 of the run's 7200 seconds are left. Wait for less, or raise "
            "max_duration_s of counting in the registry"
        )

    def test_what_is_left_of_it_bounds_a_wait(self, cloud, owner, run_of):
        def patient(run, db):
            if run.cursor is None:
                yield Progress(processed=1, total=1, message="", cursor={"at": 1})
            yield Wait(seconds=3_000, why="the tide", cursor={"at": 2})

        run = run_of(patient, max_duration_s=7_200).work(remaining_s=1)
        owner.run_script("UPDATE job_runs SET ends_by = clock_timestamp() + interval '2000 s'")
        assert "but only 2000 of the run's 7200 seconds are left" in run.work().row["error"]


class TestCountsApart:
    """Attempts after a busy database, a partial deployment and the job's own errors are counted separately."""

    def test_each_kind_of_trouble_has_its_whole_number(self, run_of, own_queries):
        own_queries["deadlock"] = DEADLOCK
        trouble = iter(["busy", "own", "misfit", "busy", "own", "misfit", "busy", "busy", "busy", "own"])

        def unlucky(run, db):
            match next(trouble):
                case "busy":
                    db.write("deadlock")
                case "misfit":
                    raise ImportError("of_the_next_release")
                case "own":
                    raise OSError("reset by peer")
            yield

        run = run_of(unlucky, retry=Retry(attempts=2)).finish()
        assert [reason.split(" after")[0] for _, outcome, reason in run.slices if outcome == "retrying"] == [
            "retry 1 of 5", "retry 1 of 2", "retry 1 of 2", "retry 2 of 5", "retry 2 of 2", "retry 2 of 2",
            "retry 3 of 5", "retry 4 of 5", "retry 5 of 5",
        ]  # fmt: skip
        assert run.row["error"] == "OSError: reset by peer"

    def test_what_stays_missing_goes_on_by_the_jobs_own_policy(self, run_of):
        def broken(run, db):
            raise ImportError("price")
            yield

        run = run_of(broken, retry=Retry(attempts=3)).finish()
        assert [outcome for _, outcome, _ in run.slices] == ["retrying"] * 5 + ["failed"]

    def test_a_cursor_that_moves_sets_all_of_them_back(self, run_of, owner):
        run = run_of(counting_to(2)).work(remaining_s=1)
        owner.run_script('UPDATE job_runs SET failed_attempts = \'{"busy": 5, "job": 2}\'')
        run.work(remaining_s=1)
        assert run.row["failed_attempts"] == {}


class TestHandingOver:
    """A slice without a commit keeps the stored checkpoint: cursor, version, progress and lost count."""

    @pytest.mark.parametrize("trouble", [ImportError("half a release"), OSError("reset"), KeyError("price")], ids=str)
    def test_an_exception_before_the_first_yield_moves_nothing(self, run_of, owner, job, written_by, trouble):
        written_by(2)
        run = run_of(counting_to(3)).work(remaining_s=1)
        owner.run_script("UPDATE job_runs SET lost_slices = 3")
        before = run.row

        def broken(run, db):
            raise trouble
            yield

        job(broken, retry=Retry(attempts=1))  # with another version, too
        run.work()
        stored = ("cursor", "cursor_version", "progress", "lost_slices")
        assert {name: run.row[name] for name in stored} == {name: before[name] for name in stored}
        job(counting_to(3))
        assert run.finish().result == {"counted": 3}
        assert steps_of(owner, run.id) == [1, 2, 3]

    def test_a_worker_that_does_not_know_the_type_moves_nothing(self, run_of, monkeypatch):
        run = run_of(counting_to(3)).work(remaining_s=1)
        before = run.row
        monkeypatch.delitem(JOB_TYPES, "counting")
        monkeypatch.setattr(JobType, "handler", HANDLER)
        run.work()
        stored = ("status", "cursor", "cursor_version", "progress")
        assert {name: run.row[name] for name in stored} == {name: before[name] for name in stored}

    def test_a_slice_that_continues_writes_the_cursor_once(self, run_of, monkeypatch):
        run, asked = run_of(counting_to(3)), []
        real = run.db.query
        monkeypatch.setattr(
            run.db, "query", lambda name, **params: asked.append((name, params)) or real(name, **params)
        )
        run.work(remaining_s=1)
        (ending,) = [params for name, params in asked if name == "end_slice"]
        assert (ending["has_checkpoint"], ending["cursor"], ending["progress"]) == (False, None, None)


def test_a_message_for_a_run_that_is_over_time_is_dropped_without_a_new_one(cloud, db, owner, team, job):
    row = trigger(team, job_type=job(counting_to(2)), db=db, settings=cloud)
    work(row["id"], 0, db=db, settings=cloud, remaining_s=1)
    owner.run_script("UPDATE job_runs SET ends_by = clock_timestamp() - interval '1 s'")
    received(cloud)
    work(row["id"], 1, db=db, settings=cloud)
    assert received(cloud) == []
