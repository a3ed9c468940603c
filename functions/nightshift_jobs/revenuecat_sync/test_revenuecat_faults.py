"""Whatever goes wrong, a sync ends with the truth about every user that RevenueCat answers for."""

import random
from collections import Counter

import pytest

from local.revenuecat.fault_schedule import FaultSchedule
from nightshift.base.errors import JobError
from tests.support.sync_world import names

SCHEDULES = 15


def follow(it, schedule):
    """Sync the stage's project while the schedule's trouble happens. Return the result."""
    it.sandbox.latency_s = schedule.latency_s
    it.sandbox.used_by_others = schedule.used_by_others
    schedule.begin(
        it.sandbox,
        it.clock,
        delete=lambda user_id: it.arrange("DELETE FROM app_users WHERE user_id = :user_id", user_id=user_id),
        store_key=lambda key: it.connect(it.project_id, key=key),
    )
    for _ in range(3):
        try:
            return it.sync(slice_s=schedule.slice_s, dies=schedule.ends_before_commit)[0]
        except JobError as exc:
            # Several faults of one place can be an outage that a sync does not wait for. Then the next one succeeds.
            if "eight times in a row" not in str(exc):
                raise
    raise AssertionError("three syncs failed")


def failures(it):
    """Return how many calls about each user got no useful answer."""
    return Counter(call.customer_id for call in it.sandbox.calls if call.status is None or call.status >= 400)


def check(it, schedule, ids, result):
    it.clock.sleep(120)  # so that all that was to happen has happened
    it.sandbox.clear_faults()
    it.sandbox.used_by_others = 0
    missed = set(result["error_ids"])
    unlucky = {user_id for user_id, count in failures(it).items() if count >= 2}
    assert schedule.bad - schedule.deleted <= missed | schedule.deleted
    assert missed <= schedule.bad | unlucky
    assert len(it.stored()) <= result["total"] <= len(ids) + 1

    other = it.project()
    it.connect(other, key=it.sandbox.api_key)
    it.users(*ids, project_id=other)
    found, project_id = it.stored(), it.project_id
    it.project_id = other
    it.sync()
    truth, it.project_id = it.stored(), project_id
    assert found.keys() == {*ids, "walk-in"} - schedule.deleted
    assert {id: found[id] for id in found.keys() - missed - {"walk-in"}} == {
        id: truth[id] for id in found.keys() - missed - {"walk-in"}
    }
    assert all(found[id] == ({}, None, False) for id in missed & found.keys())


@pytest.mark.parametrize("_", range(SCHEDULES))
def test_the_end_is_the_truth_whatever_goes_wrong(stage, capsys, _):
    seed = random.randrange(10**6)
    with capsys.disabled():
        print(f" seed {seed} ", end="")
    ids = names(60)
    schedule = FaultSchedule(seed, ids)
    it = stage(customer_ids=ids, seed=seed, budget=schedule.budget)
    it.users(*ids)
    it.users("walk-in", anonymous=True)
    check(it, schedule, ids, follow(it, schedule))
