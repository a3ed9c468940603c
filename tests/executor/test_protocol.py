"""Conditions of docs/protocol.md, in the statements and in the executor, without a test elsewhere."""

import pytest

from nightshift.aws import queue
from nightshift.database.typed_rows import typed
from nightshift.jobs import Progress
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs.slices import ClaimedSlice, Slice, SliceLost
from nightshift.testing.rows import run_row, work
from tests.support.executor_world import counting_to
from tests.support.world import claim, state_of, system_run, trigger


def test_a_lease_that_is_not_over_is_left_to_its_worker(db, owner, team, cloud):
    run = trigger(team, db=db, settings=cloud)["id"]
    claim(db, run, 0)
    before = run_row(owner, run)
    limits = {"lost_slices_limit": 1, "lost_slices_ceiling": 1, "resend_delay_s": 120}
    assert db.query("expire_leases", keys=[run], **limits) == []
    assert run_row(owner, run) == before


def test_a_message_that_is_not_due_is_not_sent_again(db, owner, team, cloud):
    run = trigger(team, db=db, settings=cloud)["id"]
    [[mail]] = owner.run_script("INSERT INTO job_outbox (content) VALUES ('{}') RETURNING id")
    times = {"resend_delay_s": 120, "resend_ceiling_s": 3600}
    assert db.query("resend_due", keys=[run], **times) == []
    assert db.query("claim_unsent", keys=[mail], **times) == []


def test_the_next_number_is_stored_before_its_message_is_sent(db, owner, team, cloud, job, monkeypatch):
    run = trigger(team, job_type=job(counting_to(2)), db=db, settings=cloud)["id"]
    stored = []

    def send(message):
        stored.append((message.slice, run_row(owner, run)["slice"]))

    monkeypatch.setattr(queue, "send", send)
    work(run, 0, db=db, settings=cloud, remaining_s=1)
    assert stored == [(1, 1)]


@pytest.mark.parametrize("version", [None, 3])
def test_a_rerun_from_the_cursor_keeps_the_version_of_its_code(db, owner, team, cloud, version):
    old = trigger(team, db=db, settings=cloud)
    cursor = {"after": 7}
    db.query("cancel_run", run_id=old["id"], requested_by="x")
    rerun_of = state_of(db, old["id"])._replace(cursor=cursor, cursor_version=version)
    run = run_row(owner, trigger(team, db=db, settings=cloud, rerun_of=rerun_of, from_cursor=True)["id"])
    assert (run["cursor"], run["cursor_version"]) == (cursor, version)


class TestASystemJobsStep:
    """Its writes, including a cancel, use one connection together with the slice's fence."""

    @pytest.fixture
    def other(self, db, team, cloud):
        """Return a run that the step cancels."""
        return trigger(team, db=db, settings=cloud)["id"]

    @pytest.fixture
    def step(self, db, owner, connect, cloud, other):
        run = system_run(owner, "soft_delete_cleanup")
        claimed = typed(ClaimedSlice, claim(db, run, 0)[0])
        maintenance = connect(user="nightshift_maintenance")
        job_type = JOB_TYPES["soft_delete_cleanup"]
        current = Slice(claimed, job_type=job_type, db=maintenance, settings=cloud, remaining_s=lambda: 60)
        current.step.write("cancel_run", run_id=other, requested_by="soft_delete_cleanup")
        return current

    DONE = Progress(processed=1, total=1, message="", cursor={"done": 1})

    def test_is_seen_when_it_is_committed_and_not_before(self, owner, step, other):
        assert run_row(owner, other)["status"] == "pending"
        step.save(self.DONE)
        assert run_row(owner, other)["status"] == "cancelled"
        assert run_row(owner, step.id)["cursor"] == {"done": 1}

    def test_goes_with_the_slice_that_was_lost_meanwhile(self, owner, step, other):
        owner.run_script(
            f"UPDATE job_runs SET slice = 1, lease_expires_at = NULL, resend_at = now() WHERE id = '{step.id}'"
        )
        with pytest.raises(SliceLost):
            step.save(self.DONE)
        assert run_row(owner, other)["status"] == "pending"
        assert run_row(owner, step.id)["cursor"] is None

    def test_goes_with_its_exception(self, owner, step, other):
        step.rollback()
        assert run_row(owner, other)["status"] == "pending"
