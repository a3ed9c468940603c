"""The last slice of a run in its timeline: it is read from the run's own row, however the slice or the run ends."""

import json

import pytest

from tests.guarded.world_at_noon import LEASED, PENDING, WAITING, at, rows, run, slice_over
from tests.support.world import NO_LINES

LOST = {"lost_slices_limit": 5, "lost_slices_ceiling": 20, "resend_delay_s": 120}
NO_LEASE = "Its worker did not end it before the lease was over"
STEP = {"progress": {"total": 9, "message": "", "processed": 4}}
OWN = {"slice": 2, "request_id": "r", "started_at": at(-30)}
BEFORE = {"slice": 1, "request_id": "before", "started_at": at(-90), "ended_at": at(-60), "outcome": "continued"}
NOTHING = dict.fromkeys(("ended_at", "outcome", "reason", "wait_s", "processed"))


@pytest.fixture
def timeline(owner):
    """``timeline(run_id)``: the rows of its timeline, the newest first, as the API and the operator read them."""
    run(owner, LEASED, request_id="of another run")

    def timeline(run_id):
        slice_over(owner, run_id, 1, request_id="before")
        every = rows(owner, "job_timeline", "request_id").values()
        mine = sorted((row for row in every if row.pop("run_id") == run_id), key=lambda row: -row["slice"])
        read = owner.query("list_slices", run_id=run_id, at_most=100)
        assert [row["request_id"] for row in read] == [row["request_id"] for row in mine][::-1]
        assert mine.pop() == {**NOTHING, **BEFORE}
        return mine

    return timeline


@pytest.mark.parametrize(
    ("columns", "reason"),
    [({}, None), ({"abandoned_because": "no connection"}, "no connection"), ({"cancel_requested_at": at(-1)}, None)],
    ids=["worked", "abandoned", "asked to stop"],
)
def test_a_slice_that_a_worker_holds_is_open(owner, timeline, columns, reason):
    run_id = run(owner, LEASED, **STEP, **columns)
    assert timeline(run_id) == [{**NOTHING, **OWN, "reason": reason}]


@pytest.mark.parametrize("columns", [PENDING, WAITING, {**WAITING, "abandoned_because": "no connection"}])
def test_a_run_between_two_slices_has_none_that_is_open(owner, timeline, columns):
    assert timeline(run(owner, columns, **STEP)) == []


@pytest.mark.parametrize(
    ("status", "error", "processed"), [("completed", None, 9), ("failed", "a reason", 4), ("cancelled", None, 4)]
)
@pytest.mark.parametrize("step", [STEP, {}], ids=["a step", "none"])
def test_the_slice_in_which_its_worker_ended_the_run(owner, noon, timeline, status, error, processed, step):
    run_id = run(owner, LEASED, **step, abandoned_because="a commit whose answer was lost")
    assert noon.query("end_run", run_id=run_id, slice=2, status=status, result=None, error=error, **NO_LINES)
    ended = {"ended_at": at(0), "outcome": status, "reason": error, "processed": processed if step else None}
    assert timeline(run_id) == [{**NOTHING, **OWN, **ended}]


@pytest.mark.parametrize("reason", [None, "no connection"])
@pytest.mark.parametrize(
    ("columns", "status"),
    [({}, "running"), ({"lost_slices": 4}, "failed"), ({"cancel_requested_at": at(-1)}, "cancelled")],
)
def test_a_slice_that_was_lost_stays_lost_when_the_run_ends_with_it(owner, noon, timeline, columns, status, reason):
    run_id = run(owner, LEASED, lease_expires_at=at(-1), **STEP, **columns, abandoned_because=reason)
    assert [row["status"] for row in noon.query("expire_leases", keys=[run_id], **LOST)] == [status]
    [last] = timeline(run_id)
    assert last.pop("ended_at")
    lost = {"outcome": "lost", "reason": reason or NO_LEASE, "wait_s": None, "processed": 4}
    assert last == {**OWN, **lost}


def test_a_slice_that_waits_has_its_reason_and_the_next_one_is_open(owner, noon, timeline):
    run_id = run(owner, LEASED, **STEP, due_at=at(-60))
    given = {"has_checkpoint": False, "cursor": None, "cursor_version": 5, "progress": None, "failed_as": None}
    noon.query(
        "end_slice", run_id=run_id, slice=2, max_delay_s=900, resend_delay_s=120, wait_s=0, outcome="waiting",
        reason="a quota", waiting_for="the quota", **given, **NO_LINES,
    )  # fmt: skip
    noon.query(
        "claim_slice", run_id=run_id, slice=3, capped=[], lease_s=30, request_id="next", max_durations=json.dumps({}),
        max_duration_s=9,
    )  # fmt: skip
    opened, waited = timeline(run_id)
    assert opened == {**NOTHING, "slice": 3, "request_id": "next", "started_at": at(0)}
    assert waited.pop("ended_at")
    assert waited == {**OWN, "outcome": "waiting", "reason": "a quota", "wait_s": 0, "processed": 4}


@pytest.mark.parametrize("state", [PENDING, WAITING], ids=["pending", "waiting"])
def test_a_cancel_between_two_slices_adds_none(owner, noon, timeline, state):
    run_id = run(owner, state, **STEP)
    assert noon.query("cancel_run", run_id=run_id, requested_by="ada") == [{"status": "cancelled"}]
    assert timeline(run_id) == []


def test_a_run_that_took_too_long_between_two_slices_adds_none(owner, noon, timeline):
    run_id = run(owner, WAITING, **STEP, ends_by=at(-1))
    assert [row["status"] for row in noon.query("end_overlong", keys=[run_id])] == ["failed"]
    assert timeline(run_id) == []
