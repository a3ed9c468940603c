"""The test kit of functions/nightshift/testing/job_run.py accepts good jobs and finds the mistakes of bad ones."""

import dataclasses
from datetime import timedelta

import pytest

from nightshift.jobs import Progress, Wait
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.testing.job_run import assert_resumable
from nightshift.testing.rows import make_team

# Its Wait of a month is longer than the default duration of a day.
COUNTING = JobType(name="counting", label="Counting", description="Counts", scope="project", max_duration_s=60 * 86_400)
TOTAL = 3


@pytest.fixture
def team(owner):
    owner.run_script("CREATE TABLE steps (step int); GRANT ALL ON steps TO nightshift_worker")
    return make_team(owner)


@pytest.fixture
def job(monkeypatch):
    """Register a generator function as the job type ``counting``."""
    from nightshift.database import queries

    real = queries.query_text
    monkeypatch.setattr(
        queries,
        "query_text",
        lambda name: "INSERT INTO steps VALUES (CAST(:step AS int))" if name == "record_step" else real(name),
    )

    def register(function, **changes):
        monkeypatch.setitem(JOB_TYPES, "counting", dataclasses.replace(COUNTING, **changes))
        monkeypatch.setattr(JobType, "handler", lambda self: function)

    return register


def steps(owner):
    return [step for (step,) in owner.run_script("SELECT step FROM steps ORDER BY step")]


def counting(run, db):
    done = (run.cursor or {"done": 0})["done"]
    while done < TOTAL:
        done += 1
        db.write("record_step", step=done)
        if done == 2:
            wait = timedelta(days=30).total_seconds()
            yield Wait(seconds=wait, why="the moon", cursor={"done": done})
        else:
            yield Progress(processed=done, total=TOTAL, message=f"Counted {done}", cursor={"done": done})
    return {"counted": done}


def test_a_run_goes_to_its_end_and_shows_its_checkpoints(job_run, job, team, owner):
    job(counting)
    run = job_run("counting", team=team)
    assert run.row["status"] == "pending"

    run.finish()

    assert run.result == {"counted": 3}
    assert [type(step) for step in run.checkpoints] == [Progress, Wait, Progress]
    assert [step.cursor for step in run.checkpoints] == [{"done": 1}, {"done": 2}, {"done": 3}]
    assert run.slices == [[0, "waiting", "the moon"], [1, "completed", None]]
    assert steps(owner) == [1, 2, 3]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_after_a_step_it_keeps_that_step_and_before_it_loses_it(job_run, job, team, owner, number):
    job(counting)
    run = job_run("counting", team=team).kill(after=number)
    assert (steps(owner), len(run.checkpoints)) == ([1, 2, 3][:number], number)

    run.kill(before=1)

    assert steps(owner) == [1, 2, 3][:number]
    assert run.finish().result == {"counted": 3}
    assert [step.cursor["done"] for step in run.checkpoints] == steps(owner) == [1, 2, 3]
    # A worker that died after the wait lost nothing.
    assert [outcome for _, outcome, _ in run.slices].count("lost") == (1 if number == 2 else 2)


def test_a_worker_that_froze_changes_nothing_when_it_thaws(job_run, job, team, owner):
    job(counting)
    run = job_run("counting", team=team).freeze(before=1)
    assert (steps(owner), run.checkpoints, run.row["lost_slices"]) == ([], [], 1)
    run.freeze(before=3).freeze(before=2)
    assert (steps(owner), run.row["status"]) == ([1, 2, 3], "running")
    assert run.finish().result == {"counted": 3}


def test_a_death_that_never_comes_is_told(job_run, job, team):
    job(counting)
    with pytest.raises(AssertionError, match="The run ended after 4 commits"):
        job_run("counting", team=team).kill(after=5)


def test_messages_that_come_again_are_nothing_at_any_time(job_run, job, team, owner):
    job(counting)
    run = job_run("counting", team=team).replay()
    run.work(remaining_s=1).replay()
    run.kill(after=1).replay().finish().replay()
    assert steps(owner) == [1, 2, 3]


def test_a_run_again_from_its_start_and_from_its_cursor(job_run, job, team, owner):
    job(counting)
    run = job_run("counting", team=team).kill(after=1)
    owner.query("cancel_run", run_id=run.id, requested_by="somebody")
    run.finish()
    assert (run.row["status"], steps(owner)) == ("cancelled", [1])

    assert [step.cursor["done"] for step in run.again(from_cursor=True).finish().checkpoints] == [2, 3]
    assert [step.cursor["done"] for step in run.again().finish().checkpoints] == [1, 2, 3]


def test_a_failed_run_has_no_result_but_its_error(job_run, job, team):
    def failing(run, db):
        raise ValueError("the moon is down")
        yield

    job(failing)
    run = job_run("counting", team=team).finish()
    assert run.row["error"] == "ValueError: the moon is down"
    with pytest.raises(AssertionError, match="The run is failed: ValueError: the moon is down"):
        _ = run.result


class TestResumable:
    def test_a_job_that_is(self, job_run, job, team, owner):
        job(counting)
        checkpoints = assert_resumable(job_run, "counting", team=team, end=steps)
        assert [step.cursor["done"] for step in checkpoints] == [1, 2, 3]
        # All of it happened in copies.
        assert steps(owner) == []
        assert owner.run_script("SELECT count(*) FROM job_runs") == [[0]]

    def test_one_that_counts_in_its_memory(self, job_run, job, team):
        def forgetful(run, db):
            done, counted = (run.cursor or {"done": 0})["done"], 0
            while done < TOTAL:
                done, counted = done + 1, counted + 1
                yield Progress(processed=done, total=TOTAL, message="", cursor={"done": done})
            return {"counted": counted}

        job(forgetful)
        with pytest.raises(AssertionError, match="counting ends differently when it is killed after step 1"):
            assert_resumable(job_run, "counting", team=team, end=steps)

    def test_one_whose_cursor_is_a_step_behind(self, job_run, job, team):
        def repeating(run, db):
            done = (run.cursor or {"done": 0})["done"]
            while done < TOTAL:
                db.write("record_step", step=done + 1)
                yield Progress(processed=done, total=TOTAL, message="", cursor={"done": done})
                done += 1
            return {}

        job(repeating)
        with pytest.raises(AssertionError, match="killed after step 1"):
            assert_resumable(job_run, "counting", team=team, end=steps)

    def test_one_that_leaves_something_outside_behind(self, job_run, job, team):
        """The work before the commit is repeated: here it is counted, although it should only be set."""
        outside = []

        def calling(run, db):
            for done in range((run.cursor or {"done": 0})["done"] + 1, TOTAL + 1):
                outside.append(done)
                yield Progress(processed=done, total=TOTAL, message="", cursor={"done": done})
            return {}

        def end(owner):
            seen = outside.copy()
            outside.clear()
            return seen

        job(calling)
        with pytest.raises(AssertionError, match="counting ends differently after a kill before each commit"):
            assert_resumable(job_run, "counting", team=team, end=end)
        assert_resumable(job_run, "counting", team=team, end=lambda owner: set(end(owner)))

    def test_one_without_a_checkpoint(self, job_run, job, team):
        def at_once(run, db):
            return {}
            yield

        job(at_once)
        with pytest.raises(AssertionError, match="counting yields nothing"):
            assert_resumable(job_run, "counting", team=team, end=steps)


def test_a_projects_job_is_somebodys_and_a_system_job_nobodys(job_run, job, owner, team):
    job(counting)
    assert job_run("counting", team=team).row["project_id"] == team.project_id
    first = job_run("counting").finish()
    assert first.row["project_id"] not in (None, team.project_id)
    assert job_run("counting").row["project_id"] == first.row["project_id"]
    assert job_run("db_pruning").row["project_id"] is None
    with pytest.raises(AssertionError, match="db_pruning is a system job"):
        job_run("db_pruning", team=team)


def test_a_job_that_comes_to_no_end_fails_its_test(job_run, job, team, monkeypatch):
    def endless(run, db):
        while True:
            yield Wait(seconds=60, why="ever", cursor={"polls": (run.cursor or {"polls": 0})["polls"] + 1})

    monkeypatch.setattr("nightshift.testing.job_run.SLICES_AT_MOST", 3)
    job(endless)
    with pytest.raises(AssertionError, match="Still running after 3 slices"):
        job_run("counting", team=team).finish()
