"""An incremental sync finds each change that RevenueCat shows somewhere, and asks about few users."""

import dataclasses
import time
from itertools import pairwise

import pytest

from local.revenuecat.catalogue import Customer
from nightshift.base.errors import JobError
from nightshift.jobs import Wait
from nightshift_jobs.revenuecat_sync import phases
from tests.support.sync_world import MONTHLY, PAYING, names

DAY_MS = 86_400_000
ENDED = dataclasses.replace(
    MONTHLY, gives_access=False, status="expired", auto_renewal_status="will_not_renew", entitlements=()
)


def now_ms():
    return int(time.time() * 1000)


@pytest.fixture
def synced(stage):
    """``synced(count, payers)``: a stage after its first sync. The periods of the first users end within a day."""

    def synced(count, payers=0, **options):
        it = stage(**options)
        it.users(*names(count))
        for n, name in enumerate(names(count)):
            due = dataclasses.replace(MONTHLY, current_period_ends_at=now_ms() + DAY_MS // 2)
            it.sandbox.customers[name] = Customer(subscriptions=(due,)) if n < payers else Customer()
        assert it.sync(mode="incremental")[0]["mode"] == "full"
        it.sandbox.calls.clear()
        return it

    return synced


def calls(it):
    return it.sandbox.stats()["calls"]["customer_information"]


def asked_for(it):
    return {call.customer_id for call in it.sandbox.calls if call.customer_id}


def status(it, user_id):
    return it.stored()[user_id][0]["rc_status"]


def test_only_payers_and_a_thirtieth_of_the_others_are_asked_for(synced):
    it = synced(310, payers=10)
    result, yields = it.sync(mode="incremental")
    assert (result["mode"], result["synced"]) == ("incremental", 10 + 10)
    assert calls(it) == (10 + 10) * 2 + 4
    assert asked_for(it) > {*names(10)}
    assert yields[0].as_json() == {"processed": 0, "total": 20, "message": "0 of 20"}
    assert yields[-1].processed == yields[-1].total == 20


def test_payers_come_first_those_whose_period_is_over_before_all_others(synced):
    it = synced(40)
    ends = {"user_007": -DAY_MS, "user_021": 0, "user_003": DAY_MS // 2}
    for user_id, after_ms in ends.items():
        running = dataclasses.replace(MONTHLY, current_period_ends_at=now_ms() + after_ms)
        it.sandbox.customers[user_id] = Customer(subscriptions=(running,))
    it.sync(mode="full")
    it.sandbox.calls.clear()
    it.sync(mode="incremental")
    in_order = list(dict.fromkeys(call.customer_id for call in it.sandbox.calls if call.customer_id))
    assert in_order[:3] == list(ends)


def test_a_subscription_that_ended_is_found_and_is_then_one_of_the_others(synced):
    it = synced(40, payers=1)
    it.sandbox.customers["user_000"] = Customer(subscriptions=(ENDED,))
    it.sync(mode="incremental")
    assert status(it, "user_000") == "expired"
    assert it.arrange("SELECT count(*) FROM job_revenuecat_users WHERE period_ends_at IS NOT NULL") == [[0]]


@pytest.mark.parametrize("odd", ["in_billing_retry", "in_grace_period"])
def test_a_subscription_that_may_come_back_is_looked_at_each_time(synced, odd):
    it = synced(40)
    row = dataclasses.replace(ENDED, status=odd, current_period_ends_at=now_ms() - DAY_MS)
    it.sandbox.customers["user_030"] = Customer(subscriptions=(row,))
    it.sync(mode="full")
    for _ in range(3):
        it.sandbox.calls.clear()
        it.sync(mode="incremental")
        assert "user_030" in asked_for(it)


def test_a_user_who_was_seen_since_or_shortly_before_the_last_look_is_found(synced):
    it = synced(300)
    seen = {"user_100": now_ms(), "user_200": now_ms() - DAY_MS, "user_299": now_ms() - 3 * DAY_MS, "user_250": None}
    for user_id, seen_at in seen.items():
        it.sandbox.customers[user_id] = dataclasses.replace(PAYING, last_seen_at=seen_at)
    it.arrange("UPDATE job_revenuecat_users SET looked_at = looked_at - interval '1 min' WHERE app_user_id IN"
               " (SELECT id FROM app_users WHERE user_id < 'user_050')")  # fmt: skip
    it.sync(mode="incremental")
    assert [status(it, user_id) for user_id in seen] == ["active", "active", "", "active"]


def test_a_newcomer_is_asked_for(synced):
    it = synced(5)
    it.users("newcomer")
    it.users("walk-in", anonymous=True)
    it.users("$RCAnonymousID:0")
    it.sandbox.customers["newcomer"] = PAYING
    result, _ = it.sync(mode="incremental")
    assert status(it, "newcomer") == "active"
    assert result["skipped"] == 0


def test_every_user_has_a_turn_within_thirty_syncs(synced):
    it = synced(95)
    it.sandbox.calls.clear()
    for _ in range(30):
        it.sync(mode="incremental")
    assert asked_for(it) == {*names(95)}


def test_every_user_with_a_running_subscription_has_a_turn_within_seven_syncs(synced):
    it = synced(60)
    for n, name in enumerate(names(60)):
        it.sandbox.customers[name] = PAYING if n < 30 else Customer()
    paused = dataclasses.replace(ENDED, status="paused", current_period_ends_at=None)
    it.sandbox.customers["user_000"] = Customer(subscriptions=(paused,))
    it.sync(mode="full")
    it.sandbox.calls.clear()
    for _ in range(7):
        it.sync(mode="incremental")
    assert asked_for(it) >= {*names(30)}
    assert len(it.sandbox.calls) < 60 * 2 + 7 * 4


def test_two_calls_a_user_and_a_third_while_the_attribution_is_open(synced):
    it = synced(1)
    young = int(it.clock() * 1000) - DAY_MS
    it.sandbox.customers["young"] = Customer(first_seen_at=young)
    it.users("young")
    it.sync(mode="incremental")
    it.sandbox.customers["young"] = Customer(
        first_seen_at=young, last_seen_at=now_ms(), attributes={"$mediaSource": "Apple Search Ads"}
    )
    for expected in (3, 2):
        it.sandbox.calls.clear()
        it.sync(mode="incremental")
        assert sum(call.customer_id == "young" for call in it.sandbox.calls) == expected
    assert it.stored()["young"][0]["attribution_source"] == "apple_search_ads"


def test_other_parameters_need_a_full_sync(synced):
    it = synced(40)
    assert it.sync(mode="incremental", include_sandbox=True)[0]["mode"] == "full"
    assert it.sync(mode="incremental", include_sandbox=True)[0]["mode"] == "incremental"
    assert it.sync(mode="incremental")[0]["mode"] == "full"
    assert it.sync(mode="full")[0]["mode"] == "full"
    assert it.sync(mode="incremental")[0]["mode"] == "incremental"


@pytest.mark.parametrize("stored", ['{"project_id": "proj99999999"}', "{}"])
def test_another_project_of_revenuecat_needs_a_full_sync(synced, stored):
    it = synced(10)
    it.sandbox.project_id = "proj99999999"
    it.connect(it.project_id, config=stored)
    assert it.sync(mode="incremental")[0]["mode"] == "full"
    assert it.sync(mode="incremental")[0]["mode"] == "incremental"


def test_a_full_sync_with_other_parameters_that_fails_half_way_needs_a_full_one_after_it(synced):
    it = synced(300, budget=480)
    it.clock.sleep(100)
    it.clock.at(it.clock() + 30, lambda: it.sandbox.add_fault(times=None, path="", status=401, message="No."))
    with pytest.raises(JobError):
        it.sync(mode="incremental", include_sandbox=True)
    it.sandbox.clear_faults()
    assert it.sync(mode="incremental")[0]["mode"] == "full"


def test_a_failed_first_sync_is_not_complete(stage):
    it = stage()
    it.users(*names(10))
    it.sandbox.customers["user_003"] = PAYING
    it.sandbox.add_fault(times=None, path="entitlements", status=503)
    with pytest.raises(JobError):
        it.sync(mode="incremental")
    it.sandbox.clear_faults()
    assert it.sync(mode="incremental")[0]["mode"] == "full"


def test_the_result_says_how_old_the_oldest_look_is(synced):
    it = synced(95)
    it.arrange("UPDATE job_revenuecat_users SET looked_at = '2026-01-02T03:04:05Z'")
    it.arrange("UPDATE job_revenuecat_users SET looked_at = '2026-01-01T03:04:05Z' WHERE app_user_id IN"
               " (SELECT id FROM app_users WHERE user_id = 'user_050')")  # fmt: skip
    assert it.sync(mode="incremental")[0]["oldest_look_at"] == "2026-01-02T03:04:05.000Z"


def test_it_ends_like_an_undisturbed_one_whatever_happens_to_its_workers(synced):
    it = synced(400, payers=40, budget=120, latency_s=0.3)
    for user_id in names(400)[100::7]:
        it.sandbox.customers[user_id] = dataclasses.replace(PAYING, last_seen_at=now_ms())
    it.users("newcomer")
    it.sandbox.customers["newcomer"] = PAYING
    dead = iter([False, True, False, False, True] * 1000)
    result, yields = it.sync(mode="incremental", slice_s=5, dies=lambda: next(dead))
    assert sum(isinstance(step, Wait) for step in yields) > 2
    assert {status(it, user_id) for user_id in [*names(400)[100::7], *names(40), "newcomer"]} == {"active"}
    assert result["errors"] == 0


def test_a_list_that_begins_anew_is_given_up(synced, monkeypatch):
    it = synced(250)
    real = it.sandbox.customers.page
    monkeypatch.setattr(it.sandbox.customers, "page", lambda offset, limit: real(offset % 200, limit)[:limit])
    it.sync(mode="incremental")
    assert sum(call.endpoint.endswith("/customers") for call in it.sandbox.calls) <= 4


def test_a_list_that_is_refused_costs_only_the_users_it_would_name(synced):
    it = synced(60, payers=3)
    it.sandbox.add_fault(times=None, path="/customers", status=400)
    it.sandbox.customers["user_050"] = PAYING
    original = it.sandbox.answer

    def answer(target, **how):
        if "/customers/" in target:
            it.sandbox.clear_faults()
        elif target.startswith(f"/projects/{it.sandbox.project_id}/customers?"):
            it.sandbox.add_fault(times=1, path="/customers", status=400)
        return original(target, **how)

    it.sandbox.clear_faults()
    it.sandbox.answer = answer
    result, _ = it.sync(mode="incremental")
    assert (result["mode"], result["synced"], result["errors"]) == ("incremental", 3 + 2, 0)
    assert phases.ROTATION == 30


@pytest.mark.parametrize("page", [1, 2])
def test_a_list_without_an_answer_costs_minutes_and_the_users_it_would_name_until_the_next_sync(synced, page):
    it = synced(310, payers=3)
    for user_id in (it.sandbox.customers.page(0, 100)[5], it.sandbox.customers.page(200, 100)[5]):
        it.sandbox.customers[user_id] = dataclasses.replace(PAYING, last_seen_at=now_ms())
    it.arrange("UPDATE job_revenuecat_users SET looked_at = looked_at - interval '1 min' WHERE app_user_id IN"
               " (SELECT id FROM app_users WHERE user_id < 'user_050')")  # fmt: skip
    original, began = it.sandbox.answer, it.clock()

    def answer(target, **how):
        if "/customers?" in target and ("starting_after" in target or page == 1):
            it.sandbox.add_fault(times=1, path="/customers", status=503)
        return original(target, **how)

    it.sandbox.answer = answer
    result, _ = it.sync(mode="incremental")
    assert (result["synced"], result["errors"]) == (3 + 11 + page - 1, 0)
    assert result["list_error"] == "RevenueCat answered 503: Something went wrong on our side."
    assert it.clock() - began < 200
    it.sandbox.answer = original
    result, _ = it.sync(mode="incremental")
    assert result["list_error"] is None
    assert sum(properties["rc_status"] == "active" for properties, _, _ in it.stored().values()) == 3 + 2


def test_a_revenuecat_that_is_down_fails_the_run_although_the_list_was_given_up(synced):
    it = synced(60)
    it.clock.at(it.clock() + 0.1, lambda: it.sandbox.add_fault(times=None, path="/customers", status=503))
    it.sandbox.latency_s = 0.2
    with pytest.raises(JobError, match=r"^RevenueCat answered 503 eight times in a row"):
        it.sync(mode="incremental")


def test_a_user_who_was_looked_at_since_is_not_asked_for_again(synced):
    it = synced(60)
    it.sandbox.customers["user_030"] = dataclasses.replace(PAYING, last_seen_at=now_ms() - 5 * DAY_MS)
    it.arrange("UPDATE job_revenuecat_projects SET synced_since = synced_since - interval '9 days'")
    it.sync(mode="incremental")
    assert len(asked_for(it)) == 2


@pytest.mark.parametrize("fault", [{"status": 400}, {"status": 500}])
def test_users_without_an_answer_do_not_keep_the_others_from_their_turn(synced, fault):
    it = synced(60)
    bad = set(names(60)[::10])
    for user_id in bad:
        it.sandbox.add_fault(times=None, path=f"/{user_id}/", **fault)
    for _ in range(30):
        it.sync(mode="incremental")
    assert asked_for(it) == {*names(60)}


@pytest.mark.parametrize("fault", [{"status": 400}, {"status": 500}])
def test_a_sync_that_meets_only_a_user_without_an_answer_is_completed_while_others_are_answered(synced, fault):
    it = synced(1, payers=1)
    it.users("walk-in", anonymous=True)
    it.sandbox.customers["a customer elsewhere"] = PAYING
    it.sandbox.add_fault(times=None, path="/user_000/", **fault)
    result, _ = it.sync(mode="incremental")
    assert (result["synced"], result["error_ids"]) == (0, ["user_000"])
    it.sandbox.add_fault(times=None, path="elsewhere", **fault)
    with pytest.raises(JobError):
        it.sync(mode="incremental")


def test_others_that_cannot_be_asked_for_now_do_not_fail_a_sync(synced):
    it = synced(1, payers=1)
    it.sandbox.customers["a customer elsewhere"] = PAYING
    it.sandbox.add_fault(times=None, path="/user_000/", status=400)
    it.sandbox.add_fault(times=None, path="elsewhere", status=429, retry_after=60)
    assert it.sync(mode="incremental")[0]["errors"] == 1


def test_a_full_sync_with_other_parameters_that_writes_nothing_ends(synced):
    it = synced(1)
    it.sandbox.customers["a customer elsewhere"] = PAYING
    it.sandbox.add_fault(times=None, path="/user_000/", status=500)
    with pytest.raises(JobError, match=r"^No user was synced: 0 are unknown to RevenueCat, 1 failed\."):
        it.sync(mode="full", include_sandbox=True)


def test_a_sync_that_meets_only_a_deleted_user_is_completed(synced):
    it = synced(1, payers=1)
    it.clock.at(it.clock() + 2.5, lambda: it.arrange("DELETE FROM app_users"))
    it.sandbox.latency_s = 1
    result, _ = it.sync(mode="incremental")
    assert (result["total"], result["skipped"]) == (1, 1)


def test_a_user_without_an_answer_counts_once(synced, monkeypatch):
    monkeypatch.setattr("nightshift_jobs.revenuecat_sync.job.MOST_RETRIES", 2)
    it = synced(40, payers=5)
    for user_id in names(5):
        it.sandbox.add_fault(times=None, path=f"/{user_id}/", status=500)
    result, _ = it.sync(mode="incremental")
    assert result["errors"] == len(set(result["error_ids"])) == 5


@pytest.fixture
def listed(synced):
    """``listed(pages)``: a synced stage with few users, and so many pages of others in RevenueCat's list."""

    def listed(pages, **options):
        it = synced(5, **options)
        for n in range(pages * 100):
            it.sandbox.customers[f"other_{n}"] = Customer(last_seen_at=now_ms() - 9 * DAY_MS)
        return it

    return listed


def test_a_long_list_is_walked_in_steps(listed):
    it = listed(80, latency_s=1)
    commits, real = [it.clock()], it.step.commit
    it.step.commit = lambda: (commits.append(it.clock()), real())
    result, _ = it.sync(mode="incremental", slice_s=30)
    assert max(later - earlier for earlier, later in pairwise(commits)) < 20
    assert result["errors"] == 0
    assert sum(call.endpoint.endswith("/customers") for call in it.sandbox.calls) <= 82


def test_trouble_on_many_pages_of_the_list_is_not_one_long_outage(listed):
    it = listed(30, latency_s=0.1)
    answered, real = [0], it.sandbox.answer

    def answer(target, **how):
        if "/customers?" in target:
            answered[0] += 1
            if answered[0] % 5 == 1:
                it.sandbox.add_fault(times=3, path="/customers", status=503)
        return real(target, **how)

    it.sandbox.answer = answer
    assert it.sync(mode="incremental")[0]["mode"] == "incremental"
    assert it.sandbox.stats()["statuses"]["503"] > 3 * 8


def test_a_slice_that_is_too_short_for_the_list_ends(listed):
    it = listed(1)
    with it.job(it.slice(mode="incremental")) as steps:
        cursor = next(steps).cursor | {"phase": "seen"}
    with it.job(it.slice(cursor, slice_s=-22, mode="incremental")) as steps:
        assert isinstance(next(steps), Wait)


def test_a_sync_that_is_refused_about_each_user_is_not_completed(synced):
    it = synced(40)
    it.sandbox.add_fault(times=None, path="/customers/", status=400, message="Not so.")
    with pytest.raises(JobError, match=r"^No user was synced: 0 are unknown to RevenueCat, 2 failed\. .* 400: Not so"):
        it.sync(mode="incremental")
    it.sandbox.clear_faults()
    it.sandbox.add_fault(times=None, path="/customers/", status=404)
    assert it.sync(mode="incremental")[0]["not_found"] == 2
