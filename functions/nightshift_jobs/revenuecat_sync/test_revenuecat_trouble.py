"""A sync is never stuck: each kind of trouble costs the users that it is about, and what is gone is not written to."""

import dataclasses
from collections import Counter
from itertools import pairwise

import pytest

from local.revenuecat.catalogue import Customer, Purchase
from nightshift.base.errors import JobError
from nightshift.jobs import Progress, Wait
from nightshift_jobs.revenuecat_sync.crew import USERS_A_SLICE, Item
from nightshift_jobs.revenuecat_sync.revenuecat.api_errors import RateLimited, Unavailable
from nightshift_jobs.revenuecat_sync.walk import Walk
from tests.support.sync_world import MONTHLY, PAYING, names

HOUR_S = 3600


def in_order(it):
    """Return the users in the order of the sync."""
    rows = it.arrange("SELECT user_id FROM app_users WHERE project_id = :id ORDER BY id", id=it.project_id)
    return [user_id for (user_id,) in rows]


def failures(it):
    """Return how many calls about each user failed."""
    return Counter(call.customer_id for call in it.sandbox.calls if call.status != 200)


def written(it):
    return {user_id for user_id, (_, _, was_written) in it.stored().items() if was_written}


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"drop_connection": True}, {"latency_s": 40}])
def test_two_neighbours_without_an_answer_cost_only_themselves(payers, fault):
    it = payers(100, latency_s=0.1)
    bad = in_order(it)[40:42]
    for user_id in bad:
        it.sandbox.add_fault(times=None, path=f"/{user_id}/purchases", **fault)

    result, yields = it.sync()

    assert (result["synced"], sorted(result["error_ids"])) == (98, sorted(bad))
    assert written(it) == {*names(100)} - {*bad}
    assert it.sandbox.stats()["calls"]["customer_information"] <= 98 * 3 + 2 * 3 * (1 + 3) + 2 * 3
    assert sum(isinstance(step, Wait) for step in yields) == 2


def test_many_users_in_a_row_without_an_answer_are_not_an_outage_while_another_is_answered(payers):
    it = payers(60)
    order = in_order(it)
    bad = order[20:40]
    for user_id in bad:
        it.sandbox.add_fault(times=None, path=f"/{user_id}/subscriptions", status=500)
    result, yields = it.sync()
    assert (result["synced"], result["errors"]) == (40, 20)
    whys = [step.why for step in yields if isinstance(step, Wait)]
    assert whys == ["another try of 20 users that RevenueCat did not answer for"] * 2


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 403}, {"latency_s": 40}])
def test_the_first_users_of_a_project_may_have_no_answer(payers, fault):
    """No user was synced that could be asked for, but RevenueCat lists customers that it knows."""
    it = payers(40)
    bad = in_order(it)[:12]
    for user_id in bad:
        it.sandbox.add_fault(times=None, path=f"/{user_id}/", **fault)
    result, _ = it.sync()
    assert (result["synced"], result["errors"]) == (28, 12)


def test_the_user_that_is_known_may_have_no_answer_later(payers):
    it = payers(60, latency_s=0.1)
    order = in_order(it)
    for user_id in order[20:40]:
        it.sandbox.add_fault(times=None, path=f"/{user_id}/", status=500)
    it.clock.at(it.clock() + 1.2, lambda: it.sandbox.add_fault(times=None, path=f"/{order[0]}/", status=500))
    for user_id in order[:20]:
        it.clock.at(it.clock() + 1.2, lambda id=user_id: it.sandbox.add_fault(times=None, path=f"/{id}/", status=500))
    result, _ = it.sync()
    assert (result["synced"], result["errors"]) == (40, 20)


def test_more_users_without_an_answer_than_the_cursor_keeps_are_tried_in_between(payers, monkeypatch):
    monkeypatch.setattr("nightshift_jobs.revenuecat_sync.job.MOST_RETRIES", 5)
    it = payers(120, latency_s=0.1, budget=480)
    bad = set(in_order(it)[3::9])
    for user_id in bad:
        it.sandbox.add_fault(times=None, path=f"/{user_id}/subscriptions", status=500)
    result, yields = it.sync()
    assert result["errors"] == len(bad) > 5
    assert written(it) == {*names(120)} - bad
    assert max(len(step.cursor["retry"]) for step in yields) < len(bad)


@pytest.mark.parametrize("budget", [10, 30])
def test_those_that_are_tried_again_have_their_turn_though_no_slice_has_calls_for_all(payers, budget):
    it = payers(30, budget=budget)
    bad = in_order(it)[3::5]
    for user_id in bad:
        it.sandbox.add_fault(times=None, path=f"/{user_id}/subscriptions", status=500)
    result, _ = it.sync()
    assert (result["synced"], sorted(result["error_ids"])) == (24, sorted(bad))
    assert all(3 * 3 <= count <= 3 * 3 + 1 for count in failures(it).values())


def test_an_outage_costs_nothing_but_time(payers):
    it = payers(100, latency_s=0.1)
    begins = it.clock()
    it.clock.at(begins + 0.5, lambda: it.sandbox.add_fault(times=None, path="customers", status=503))
    it.clock.at(begins + 120, it.sandbox.clear_faults)
    result, yields = it.sync()
    assert (result["synced"], result["errors"]) == (100, 0)
    whys = [step.why for step in yields if isinstance(step, Wait)]
    assert 3 <= sum("503" in why for why in whys) <= 5
    assert it.clock() - begins < 400


def test_an_outage_is_no_try():
    walk, user = Walk(total=1, is_retrying=True), {"user_id": "a", "is_anonymous": False}
    taken = [(Item("1", user), Unavailable("RevenueCat answered 503", "Down.", wait_s=1))]
    written = {"shared": 0, "gone": [], "refused": {}}
    for _ in range(5):
        assert walk.take(taken, written, is_outage=True) == []
    assert [walk.take(taken, written, is_outage=False) for _ in range(3)] == [[], [], ["1"]]
    assert (walk.counts["errors"], walk.retry) == (1, {})


@pytest.mark.parametrize(("is_retrying", "had_room", "tries"), [(False, True, 0), (True, False, 0), (True, True, 1)])
def test_a_429_is_a_try_only_at_the_end_and_if_there_was_room(is_retrying, had_room, tries):
    walk, user = Walk(total=1, is_retrying=is_retrying), {"user_id": "a", "is_anonymous": False}
    refusal = RateLimited("RevenueCat answered 429", "Slow down.", wait_s=1)
    refusal.had_room = had_room
    walk.take([(Item("1", user), refusal)], {"shared": 0, "gone": [], "refused": {}}, is_outage=False)
    assert walk.retry == {"1": tries}


def test_an_outage_of_one_endpoint_costs_nothing_but_time(payers):
    it = payers(60, latency_s=0.1)
    begins = it.clock()
    it.clock.at(begins + 0.5, lambda: it.sandbox.add_fault(times=None, path="/purchases", status=503))
    it.clock.at(begins + 120, it.sandbox.clear_faults)
    result, _ = it.sync()
    assert (result["synced"], result["errors"]) == (60, 0)


def test_an_outage_at_the_end_is_not_blamed_on_those_that_are_tried_again(payers):
    it = payers(30)
    it.sandbox.add_fault(times=3, path=f"/{in_order(it)[5]}/", status=503)
    begins = it.clock()
    it.clock.at(begins + 20, lambda: it.sandbox.add_fault(times=None, path="customers", status=503))
    it.clock.at(begins + 100, it.sandbox.clear_faults)
    result, _ = it.sync()
    assert (result["synced"], result["errors"]) == (30, 0)


def test_a_server_that_hangs_is_not_paid_for(payers):
    it = payers(40)
    it.sandbox.add_fault(times=None, path="customers", latency_s=60)
    began, slept, sleep = it.clock(), [], it.clock.sleep
    it.clock.sleep = lambda seconds: (slept.append(seconds), sleep(seconds))
    with pytest.raises(JobError, match=r"^RevenueCat could not be reached eight times in a row: no answer in time$"):
        it.sync()
    assert it.clock() - began - sum(slept) < 120


def test_five_calls_a_minute_are_enough_to_get_on(payers):
    it = payers(12, budget=480, used_by_others=475)
    result, yields = it.sync()
    assert result["synced"] == 12
    assert it.sandbox.stats()["rate_limited"] == 0
    assert sum(isinstance(step, Wait) for step in yields) > 10


def test_a_429_about_one_user_does_not_hold_up_the_others(payers):
    it = payers(200, latency_s=0.1)
    first = in_order(it)[0]
    it.sandbox.add_fault(times=None, path=f"/{first}/", status=429, retry_after=1)
    by_then = []
    it.clock.at(it.clock() + 120, lambda: by_then.extend(written(it)))
    it.clock.at(it.clock() + 125, it.sandbox.clear_faults)
    result, _ = it.sync()
    assert {*by_then} == {*names(200)} - {first}
    assert result["synced"] == 200


@pytest.mark.parametrize("limit", [480, 10**6])
def test_a_429_about_one_user_for_good_costs_that_user_and_minutes(payers, limit):
    it = payers(200, latency_s=0.1, budget=limit)
    bad, began = in_order(it)[0], it.clock()
    it.sandbox.add_fault(times=None, path=f"/{bad}/", status=429, retry_after=1)
    result, yields = it.sync()
    assert (result["synced"], result["error_ids"]) == (199, [bad])
    assert it.clock() - began < 240
    assert [step for step in yields if isinstance(step, Wait)][-1].progress.message == "199 of 200"


def test_a_429_for_all_is_blamed_on_none_of_those_that_are_tried_again(payers):
    it = payers(30, budget=480)
    for user_id in in_order(it)[3::5]:
        it.sandbox.add_fault(times=3, path=f"/{user_id}/", status=503)
    for hour in range(4):  # other clients come and go
        for after_s, used in ((20, 480), (3000, 478), (3300, 480)):
            it.clock.at(it.clock() + hour * HOUR_S + after_s, lambda n=used: setattr(it.sandbox, "used_by_others", n))
    it.clock.at(it.clock() + 4 * HOUR_S, lambda: setattr(it.sandbox, "used_by_others", 0))
    result, _ = it.sync()
    assert (result["synced"], result["errors"]) == (30, 0)
    assert it.sandbox.stats()["rate_limited"] > 100


def test_a_slice_that_is_shorter_than_a_user_begins_some_and_leaves_the_others(payers):
    it = payers(60, latency_s=2)
    with it.job(it.slice(slice_s=1)) as steps:
        for _ in range(2):
            next(steps)
            it.step.commit()
    assert {call.customer_id for call in it.sandbox.calls if call.customer_id} == {*in_order(it)[:USERS_A_SLICE]}


def test_other_clients_may_use_up_the_limit_for_hours(payers):
    it = payers(5, budget=480, used_by_others=480)
    it.clock.at(it.clock() + 5 * HOUR_S, lambda: setattr(it.sandbox, "used_by_others", 0))
    assert it.sync()[0]["synced"] == 5


def test_other_clients_that_use_up_the_limit_for_good_are_named(payers):
    it = payers(5, budget=480, used_by_others=480)
    began = it.clock()
    with pytest.raises(JobError, match="Other clients have used up the rate limit of the RevenueCat key for 6 hours"):
        it.sync()
    assert 6 * HOUR_S < it.clock() - began < 7 * HOUR_S


def test_users_that_were_read_before_the_key_died_are_kept(payers):
    it = payers(200, latency_s=0.5)
    it.clock.at(it.clock() + 4, lambda: setattr(it.sandbox, "api_key", "sk_another"))
    with pytest.raises(JobError, match=r"^RevenueCat answered 401: Invalid API key\. The project needs another"):
        it.sync()
    finished = {call.customer_id for call in it.sandbox.calls if call.endpoint.endswith("{c}")}
    assert len(finished) > 30
    assert written(it) >= finished - {call.customer_id for call in it.sandbox.calls[-64:]}


def test_a_refused_key_is_looked_at_again(payers):
    it = payers(10)
    right, it.sandbox.api_key = it.sandbox.api_key, "sk_another"
    it.clock.at(it.clock() + 20, lambda: setattr(it.sandbox, "api_key", right))
    result, yields = it.sync()
    assert result["synced"] == 10
    assert [(step.seconds, step.why) for step in yields if isinstance(step, Wait)] == [
        (30, "another look at the key that RevenueCat refused")
    ]


def test_a_key_that_worked_in_between_is_looked_at_again_each_time(payers):
    it = payers(200, latency_s=0.5, budget=480)
    right, begins = it.sandbox.api_key, it.clock()
    it.sandbox.api_key = "sk_another"
    for after_s, key in ((20, right), (75, "sk_another"), (105, right)):
        it.clock.at(begins + after_s, lambda key=key: setattr(it.sandbox, "api_key", key))
    result, yields = it.sync()
    assert result["synced"] == 200
    whys = [step.why for step in yields if isinstance(step, Wait)]
    assert whys.count("another look at the key that RevenueCat refused") == 2


DELETE = "UPDATE {} SET deleted_at = now()"
GONE = {
    "project": (DELETE.format("projects"), "This project or its team was deleted"),
    "team": (DELETE.format("teams"), "This project or its team was deleted"),
    "integration": (
        DELETE.format("project_integrations"),
        r"project has no RevenueCat integration\. A team admin",
    ),
    "disabled": (
        """UPDATE project_integrations SET config = config || '{"enabled": false}'""",
        "The RevenueCat integration of this project is disabled",
    ),
    "another project": (
        """UPDATE project_integrations SET config = '{"project_id": "proj99999999"}'""",
        "The integration now belongs to another project of RevenueCat",
    ),
}


@pytest.mark.parametrize("gone", GONE)
def test_what_is_gone_in_the_middle_is_not_written_to(payers, gone):
    statement, sentence = GONE[gone]
    it = payers(200, latency_s=0.5, budget=480)
    before = set()

    def go():
        before.update(written(it))
        it.owner.run_script(statement)

    it.clock.at(it.clock() + 12, go)
    with pytest.raises(JobError, match=sentence):
        it.sync()
    assert 0 < len(before) < 200
    assert written(it) == before


def test_a_user_who_is_deleted_in_the_middle_is_left_out(payers):
    it = payers(60, latency_s=1)
    gone = in_order(it)[10]
    it.clock.at(it.clock() + 4.5, lambda: it.arrange("DELETE FROM app_users WHERE user_id = :id", id=gone))
    result, _ = it.sync()
    assert (result["synced"], result["skipped"], result["errors"]) == (59, 1, 0)
    remembered = it.arrange("SELECT count(*) FROM job_revenuecat_users")[0][0]
    assert remembered == 59
    it.arrange("DELETE FROM app_users")
    assert it.arrange("SELECT count(*) FROM job_revenuecat_users")[0][0] == 0


@pytest.mark.parametrize("gross", [1e300, float("nan"), float("inf")])
def test_an_amount_that_no_column_holds_costs_one_user(payers, gross):
    it = payers(10)
    it.sandbox.customers["user_003"] = Customer(subscriptions=(Odd(gross),))
    result, _ = it.sync()
    assert (result["synced"], result["error_ids"]) == (9, ["user_003"])
    assert written(it) == {*names(10)} - {"user_003"}


class Odd:
    """A subscription with an odd amount."""

    def __init__(self, gross):
        self._gross = gross

    def __getattr__(self, name):
        return Money(self._gross) if name == "gross" else getattr(MONTHLY, name)


class Money(float):
    """An amount that is sent as it is, whatever is calculated with it."""

    def __new__(cls, gross):
        return super().__new__(cls, gross)

    def __sub__(self, other):
        return 0.0


def test_a_user_whom_postgres_refuses_costs_one_user(payers):
    it = payers(10)
    it.owner.run_script(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON app_users FOR EACH ROW WHEN (old.user_id = 'user_004')
            EXECUTE FUNCTION refuse()
        """
    )
    result, _ = it.sync()
    assert (result["synced"], result["errors"], result["error_ids"]) == (9, 1, ["user_004"])
    assert written(it) == {*names(10)} - {"user_004"}


def test_a_403_about_one_customer_is_that_customers(payers):
    it = payers(30)
    it.sandbox.add_fault(times=None, path="/user_007/", status=403, message="Not this one.")
    result, _ = it.sync()
    assert (result["synced"], result["error_ids"]) == (29, ["user_007"])


def test_a_page_of_a_proxy_does_not_refuse_the_key(payers):
    it = payers(30)
    it.sandbox.add_fault(times=10, path="entitlements", status=403, html=True)
    it.sandbox.add_fault(times=10, path="customers", status=403, html=True)
    result, _ = it.sync()
    assert (result["synced"], result["errors"]) == (30, 0)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (
            {"status": 400, "message": "Not so."},
            r"0 are unknown to RevenueCat, 20 failed\. .* 400: Not so",
        ),
        ({"status": 404, "message": "Not here."}, r"20 are unknown to RevenueCat, 0 failed\. .* 404: Not here"),
    ],
)
def test_a_sync_of_nobody_is_not_completed(payers, fault, sentence):
    it = payers(20)
    it.sandbox.add_fault(times=None, path="customers", **fault)
    with pytest.raises(JobError, match=f"^No user was synced: {sentence}"):
        it.sync()


def test_a_project_without_users_is_completed(stage):
    assert stage().sync()[0]["total"] == 0


# Attribution.

DAY_MS = 86_400_000
APPLE = {"$mediaSource": "Apple Search Ads", "$campaign": "Spring"}


def attribution(it, user_id):
    properties = it.stored()[user_id][0]
    return {key: value for key, value in properties.items() if key.startswith(("attribution", "asa"))}


def test_a_none_of_the_first_day_gives_way_to_apples_answer(stage):
    it = stage()
    it.users("young", "old")
    now_ms = int(it.clock() * 1000)
    it.sandbox.customers["young"] = Customer(first_seen_at=now_ms - DAY_MS // 2)
    it.sandbox.customers["old"] = Customer(first_seen_at=now_ms - 10 * DAY_MS)
    it.sync()
    assert attribution(it, "young") == attribution(it, "old") == {"attribution_source": "none"}

    for user_id in ("young", "old"):
        it.sandbox.customers[user_id] = dataclasses.replace(it.sandbox.customers[user_id], attributes=APPLE)
    before = len(it.sandbox.calls)
    it.sync(mode="full")
    assert attribution(it, "young") == {"attribution_source": "apple_search_ads", "asa_campaign_name": "Spring"}
    assert attribution(it, "old") == {"attribution_source": "none"}
    # Only the young user's attributes were asked for: three calls and two, beside two for the catalogue.
    assert len(it.sandbox.calls) - before == 3 + 2 + 2


@pytest.mark.parametrize("own", ['{"attribution_source": "none"}', '{"asa_campaign_name": "Own"}'])
def test_attribution_is_written_as_a_whole_or_not_at_all(stage, own):
    it = stage()
    it.users("a", properties=own)
    it.sandbox.customers["a"] = Customer(attributes=APPLE)
    it.sync()
    key, value = own.strip("{}").replace('"', "").split(": ")
    assert attribution(it, "a") == {key: value}


def test_the_revenue_of_one_customer_counts_once(stage):
    """Of two users who are aliases of a third, that one has the revenue; of two aliases, the one with the lower id."""
    it = stage()
    it.users("me", "my phone", "phone", "tablet", "tv")
    it.sandbox.customers["me"] = dataclasses.replace(PAYING, aliases=("my phone",))
    it.sandbox.customers["$RCAnonymousID:0"] = dataclasses.replace(PAYING, aliases=("phone", "tablet", "tv"))
    result, _ = it.sync()
    cents = {user_id: cents for user_id, (_, cents, _) in it.stored().items()}
    first = next(user_id for user_id in in_order(it) if user_id in ("phone", "tablet", "tv"))
    assert (cents["me"], cents["my phone"], cents[first]) == (999, 0, 999)
    assert sum(cents.values()) == 2 * 999
    assert it.stored()["my phone"][0]["rc_total_revenue_usd"] == "0.00"
    assert {properties["rc_status"] for properties, _, _ in it.stored().values()} == {"active"}
    assert result["shared_customers"] == 3
    before = it.versions()
    it.sync(mode="full")
    assert it.versions() == before


# Progress.


def test_progress_comes_from_the_first_second_and_every_few_seconds_with_pace_and_time_left(payers):
    it = payers(400, budget=480, latency_s=0.8)
    it.sandbox._budgets["project_configuration"].limit = 60
    steps, began = [], it.clock()
    real = it.step.commit
    it.step.commit = lambda: (steps.append(it.clock()), real())
    _, yields = it.sync()
    assert yields[0].as_json() == {"processed": 0, "total": 400, "message": "0 of 400"}
    assert steps[0] == began
    assert steps[1] - began < 8
    assert max(later - earlier for earlier, later in pairwise(steps)) < 61
    first, second, *_ = (step for step in yields[1:] if isinstance(step, Progress))
    assert first.processed >= 10
    assert first.as_json()["message"].startswith(f"{first.processed} of 400, ")
    assert second.as_json()["message"].startswith(f"{second.processed} of 400, 159 a minute, about ")
    [wait, *_] = [step for step in yields if isinstance(step, Wait)]
    assert wait.progress.as_json()["message"] == f"{wait.progress.processed} of 400, 159 a minute, about 1 min left"
    assert yields[-1].as_json()["message"] == "Synced 400 users, 0 skipped"


def test_purchases_without_a_type_are_for_life(stage):
    it = stage()
    it.users("a")
    bought = Purchase(product_id="prod_unknown", entitlements=("premium",), gross=5.0)
    it.sandbox.customers["a"] = Customer(purchases=(bought,))
    it.sync()
    properties = it.stored()["a"][0]
    assert (properties["rc_period_type"], properties["rc_product"]) == ("lifetime", "prod_unknown")


def test_a_latency_that_leaves_no_user_time_in_a_slice_is_measured_again(payers):
    it = payers(60, latency_s=9)

    def answer_fast():
        it.sandbox.latency_s = 0.1

    began = it.clock()
    it.clock.at(began + 40, answer_fast)
    result, _ = it.sync(slice_s=5)
    assert result["synced"] == 60
    assert it.clock() - began < 120
