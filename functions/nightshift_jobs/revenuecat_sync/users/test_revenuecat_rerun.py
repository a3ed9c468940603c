"""A rerun continues from a cursor: what a sync with other parameters wrote in between is written again."""

import dataclasses

import pytest

from local.revenuecat.catalogue import Customer
from nightshift.base.errors import JobError
from tests.support.sync_world import MONTHLY, names

COUNT = 90
SANDBOX = dataclasses.replace(MONTHLY, environment="sandbox", gross=5.0)


@pytest.fixture
def testers(stage):
    """A stage whose users have sandbox rows alone. A minute is enough for a third of them."""
    it = stage(budget=COUNT)
    it.users(*names(COUNT))
    for name in names(COUNT):
        it.sandbox.customers[name] = Customer(subscriptions=(SANDBOX,))
    return it


def stop_at(it, phase, **params):
    """Run a sync up to a step in the middle of this phase. Return its cursor."""
    _, yields = it.sync(stops=lambda step: step.cursor["phase"] == phase and step.cursor["after"], **params)
    it.clock.sleep(120)
    return yields[-1].cursor


def sync_with_sandbox(it, *, fails):
    if fails:
        fail_half_way(it, include_sandbox=True)
    else:
        it.sync(mode="full", include_sandbox=True)
        it.clock.sleep(120)


def fail_half_way(it, **params):
    it.clock.at(it.clock() + 30, lambda: it.sandbox.add_fault(times=None, path="", status=401, message="No."))
    with pytest.raises(JobError):
        it.sync(mode="full", **params)
    it.sandbox.clear_faults()
    it.clock.sleep(120)


def active(it):
    return {user_id for user_id, (properties, _, _) in it.stored().items() if properties.get("rc_status") == "active"}


@pytest.mark.parametrize("fails", [True, False])
def test_a_full_sync_begins_anew_if_other_parameters_were_used_since(testers, fails):
    cursor = stop_at(testers, "users", mode="full")
    sync_with_sandbox(testers, fails=fails)
    assert active(testers)
    result, _ = testers.sync(continues=cursor, mode="full")
    assert not active(testers)
    assert (result["total"], result["synced"]) == (COUNT, COUNT)
    assert testers.sync(mode="incremental")[0]["mode"] == "incremental"


@pytest.mark.parametrize("phase", ["payers", "newcomers"])
@pytest.mark.parametrize("fails", [True, False])
def test_an_incremental_sync_becomes_a_full_one_if_other_parameters_were_used_since(testers, fails, phase):
    testers.sync(mode="full")
    testers.clock.sleep(120)
    testers.users(*(f"new_{n}" for n in range(60)))
    testers.arrange("UPDATE job_revenuecat_users SET period_ends_at = looked_at")
    cursor = stop_at(testers, phase, mode="incremental")
    sync_with_sandbox(testers, fails=fails)
    testers.arrange("DELETE FROM app_users WHERE user_id LIKE 'new_%'")
    result, _ = testers.sync(continues=cursor, mode="incremental")
    assert not active(testers)
    assert (result["mode"], result["synced"]) == ("full", COUNT)


def test_an_incremental_sync_becomes_a_full_one_if_the_full_one_before_it_is_not_complete(testers):
    testers.sync(mode="full")
    testers.clock.sleep(120)
    testers.arrange("UPDATE job_revenuecat_users SET period_ends_at = looked_at")
    cursor = stop_at(testers, "payers", mode="incremental")
    sync_with_sandbox(testers, fails=False)
    fail_half_way(testers)
    assert active(testers)
    assert testers.sync(continues=cursor, mode="incremental")[0]["mode"] == "full"
    assert not active(testers)


def test_a_full_sync_goes_on_where_it_was_if_only_its_parameters_were_used(testers):
    cursor = stop_at(testers, "users", mode="full")
    testers.sync(mode="full")
    testers.sandbox.calls.clear()
    testers.clock.sleep(120)
    result, _ = testers.sync(continues=cursor, mode="full")
    assert result["total"] == COUNT
    assert 0 < len({call.customer_id for call in testers.sandbox.calls}) < COUNT
