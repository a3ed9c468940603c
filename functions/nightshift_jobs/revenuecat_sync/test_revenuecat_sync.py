"""The job revenuecat_sync with a RevenueCat over HTTP and a real database, one slice at a time."""

import dataclasses
from dataclasses import asdict

import pytest

from local.revenuecat.catalogue import Customer, Purchase, Subscription, product
from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
from nightshift.base.errors import JobError
from nightshift.jobs import Progress, Wait
from nightshift.tenants.integrations import decrypt_secret
from nightshift.testing import assert_resumable, make_team
from nightshift_jobs.revenuecat_sync import crew
from nightshift_jobs.revenuecat_sync.job import revenuecat_sync
from nightshift_jobs.revenuecat_sync.revenuecat import answers
from nightshift_jobs.revenuecat_sync.walk import ATTEMPTS, Walk

MONTHLY = Subscription(product_id=product("premium_p1m").id, gross=9.99)
PAYING = Customer(subscriptions=(MONTHLY,))


def names(count):
    return [f"user_{n}" for n in range(count)]


def test_every_user_gets_what_revenuecat_knows(stage):
    it = stage()
    it.users("paying", "nobody", "unheard of")
    it.users("walk-in", anonymous=True)
    it.users("$RCAnonymousID:0123")
    it.users("known", properties='{"plan": "x", "attribution_source": "own", "rc_status": "trialing"}')
    it.sandbox.customers["paying"] = Customer(
        subscriptions=(MONTHLY,), attributes={"$mediaSource": "Apple Search Ads", "$campaign": "Spring"}
    )
    it.sandbox.customers["nobody"] = Customer()
    it.sandbox.customers["known"] = Customer(purchases=(Purchase(product_id=product("credits_100").id, gross=1.99),))

    result, yields = it.sync()

    assert result == {
        "mode": "full", "total": 6, "synced": 3, "skipped": 3, "active": 1, "inactive": 2, "not_found": 1, "errors": 0,
        "not_found_ids": ["unheard of"], "error_ids": [], "not_found_users": ["unheard of"], "error_users": [],
        "shared_customers": 0,
    }  # fmt: skip
    stored = it.stored()
    assert stored["paying"] == (
        {
            "rc_subscriber": "true", "rc_status": "active", "rc_will_renew": "true", "rc_entitlements": "premium",
            "rc_product": "premium_p1m", "rc_period_type": "normal", "rc_billing_period": "monthly",
            "rc_total_revenue_usd": "9.99", "attribution_source": "apple_search_ads", "asa_campaign_name": "Spring",
        },
        999, True,
    )  # fmt: skip
    properties, cents, _ = stored["known"]
    assert cents == 199
    assert (properties["plan"], properties["attribution_source"], properties["rc_status"]) == ("x", "own", "")
    assert stored["unheard of"] == stored["walk-in"] == stored["$RCAnonymousID:0123"] == ({}, None, False)
    assert yields[-1].as_json() == {"processed": 6, "total": 6, "message": "Synced 3 users, 3 skipped"}
    assert it.sandbox.stats()["calls"]["customer_information"] == 3 + 3 + 2 + 1


NO_ANSWER = AwsUnreachable("ReadTimeoutError: kms.eu-central-1.amazonaws.com")


def refuse_to_decrypt(monkeypatch, *troubles):
    left = iter(troubles)

    def decrypt(ciphertext, *, project_id):
        for trouble in left:
            raise trouble
        return decrypt_secret(ciphertext, project_id=project_id)

    monkeypatch.setattr("nightshift_jobs.revenuecat_sync.place.decrypt_secret", decrypt)


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (NO_ANSWER, "KMS did not answer"),
        (AwsRefused("kms", "ThrottlingException", "Rate exceeded", passing=True), "ThrottlingException"),
    ],
)
def test_a_moment_without_kms_is_waited_out_outside(stage, monkeypatch, trouble, why):
    it = stage(customer_ids=names(3))
    it.users(*names(3))
    refuse_to_decrypt(monkeypatch, trouble, trouble)
    result, yields = it.sync()
    assert [type(each) for each in yields[:3]] == [Progress, Wait, Wait]
    assert yields[1].why == f"another try: The stored RevenueCat key was not decrypted ({why})"
    assert result["synced"] == 3


def test_kms_staying_away_ends_the_run_with_its_sentence(stage, monkeypatch):
    it = stage()
    refuse_to_decrypt(monkeypatch, *[NO_ANSWER] * ATTEMPTS)
    with pytest.raises(JobError, match=r"key was not decrypted eight times in a row: KMS did not answer$"):
        it.sync()


def test_what_kms_refuses_for_good_is_not_waited_for_and_names_no_role_of_ours(stage, monkeypatch):
    it = stage()
    said = "User: arn:aws:sts::123456789012:assumed-role/worker is not authorized to perform: kms:Decrypt"
    refuse_to_decrypt(monkeypatch, AwsRefused("kms", "AccessDeniedException", said, passing=False))
    with pytest.raises(JobError, match=r"could not be decrypted: AccessDeniedException\. Tell the operator") as failed:
        it.sync()
    assert "arn:" not in str(failed.value)


@pytest.fixture
def in_simulated_time(monkeypatch):
    """``in_simulated_time(stage)``: let the executor run syncs against the stage's sandbox."""

    def patch(it):
        def sync(run, db):
            return revenuecat_sync(run, db, clock=it.clock, calls=it.calls)

        sync.__module__ = revenuecat_sync.__module__
        monkeypatch.setattr("nightshift.jobs.job_type.JobType.handler", lambda self: sync)

    return patch


def test_whatever_happens_to_its_workers_it_ends_like_an_undisturbed_one(
    job_run, kms, stage, owner, monkeypatch, in_simulated_time
):
    monkeypatch.setattr(crew, "COMMIT_AFTER_S", 0)
    monkeypatch.setattr(crew, "USERS_A_COMMIT", 7)
    monkeypatch.setattr(crew, "FIRST_COMMIT_AFTER_S", 0)
    monkeypatch.setattr(crew, "USERS_IN_FIRST_COMMIT", 7)
    monkeypatch.setenv("INTEGRATIONS_KEY_ID", kms)
    it, team = stage(customer_ids=names(30), seed=5, latency_s=0.2), make_team(owner)
    in_simulated_time(it)
    it.connect(team.project_id)
    it.users(*names(30), project_id=team.project_id)

    def end(owner):
        found = owner.run_script(
            "SELECT user_id, properties, total_revenue_usd_cents, revenue_synced_at IS NOT NULL FROM app_users"
            " ORDER BY user_id"
        )
        assert sum(synced for *_, synced in found) > 10
        return found

    steps = assert_resumable(job_run, "revenuecat_sync", team=team, end=end)

    processed = [step.processed for step in steps]
    assert (processed[0], processed[-1]) == (0, 30)
    assert len(processed) > 3  # how many, depends on the order of the users' ids
    counts = steps[-1].cursor["counts"]
    assert counts["synced"] == 30 - counts["not_found"]


def test_a_second_sync_that_finds_nothing_new_touches_no_row(stage):
    it = stage(customer_ids=names(120))
    it.users(*names(120))
    first, _ = it.sync()
    before = it.versions()

    second, _ = it.sync(mode="full")

    assert second == first
    assert it.versions() == before


def test_only_the_changed_user_is_written(stage):
    it = stage(customer_ids=names(5))
    it.users(*names(5))
    it.sync()
    before = dict((row[0], row[1:]) for row in it.versions())
    it.sandbox.customers["user_3"] = Customer(subscriptions=(Subscription(product_id=None, gross=123.455),))

    it.sync()

    changed = [id for id, *version in it.versions() if before[id] != version]
    assert len(changed) == 1
    assert it.stored()["user_3"][1] == 12346


def test_a_page_is_one_statement(stage):
    it = stage(customer_ids=names(200))
    it.users(*names(200))

    it.sync()

    assert it.step.statements / 200 <= 0.05
    assert it.stored()["user_7"][2]


def test_another_project_is_left_alone(stage):
    it = stage(customer_ids=names(3))
    other = it.project()
    it.users(*names(3), project_id=other)
    it.users("user_1")

    assert it.sync()[0]["total"] == 1
    assert list(it.stored(other).values()) == [({}, None, False)] * 3


@pytest.mark.parametrize("path", ["subscriptions", "purchases", "user_1?expand"])
def test_a_user_whose_call_is_refused_stays_as_it_was(stage, path):
    it = stage()
    it.users(*names(3), properties='{"rc_total_revenue_usd": "5.00"}')
    for name in names(3):
        it.sandbox.customers[name] = PAYING
    it.sandbox.add_fault(status=400, times=None, path=f"user_1/{path}" if "?" not in path else "user_1", param="x")

    result, _ = it.sync()

    assert (result["synced"], result["errors"], result["error_ids"]) == (2, 1, ["user_1"])
    assert it.stored()["user_1"] == ({"rc_total_revenue_usd": "5.00"}, None, False)
    assert it.stored()["user_2"][1] == 999


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 502}, {"status": 423}, {"drop_connection": True}])
def test_a_moment_of_trouble_is_waited_out_inside(stage, fault):
    it = stage()
    it.users("user_0")
    it.sandbox.customers["user_0"] = PAYING
    it.sandbox.add_fault(times=2, path="purchases", **fault)

    result, yields = it.sync()

    assert result["synced"] == 1
    assert not any(isinstance(step, Wait) for step in yields)


def test_longer_trouble_with_one_user_is_left_for_the_end(stage):
    it = stage()
    it.users(*names(20))
    for name in names(20):
        it.sandbox.customers[name] = PAYING
    it.sandbox.add_fault(status=503, times=3, path="user_5/purchases", message="Down for now.")

    result, yields = it.sync()

    [wait] = [step for step in yields if isinstance(step, Wait)]
    assert wait.why == "another try of 1 users that RevenueCat did not answer for"
    assert (wait.cursor["counts"]["synced"], len(wait.cursor["retry"])) == (19, 1)
    assert (result["synced"], result["errors"]) == (20, 0)


@pytest.mark.parametrize("path", ["entitlements", "customers"])
def test_a_revenuecat_that_stays_down_fails_the_run_with_its_sentence(stage, path):
    it = stage()
    it.users("user_0")
    it.sandbox.add_fault(status=503, times=None, path=path, message="Maintenance until noon.")
    before = it.clock()

    with pytest.raises(JobError, match=r"^RevenueCat answered 503 eight times in a row: Maintenance until noon\.$"):
        it.sync()

    assert ATTEMPTS == 8
    assert it.clock() - before > 5 * 60
    assert it.stored()["user_0"][2] is False


def test_an_outage_that_is_over_costs_nobody_their_sync(stage):
    """The users that were next at its beginning are retried before they are blamed for stopping the others."""
    it = stage(customer_ids=names(5))
    it.users(*names(5))
    it.sandbox.add_fault(status=503, times=15, path="entitlements")
    result, yields = it.sync()
    assert sum(isinstance(each, Wait) for each in yields) >= 4
    assert (result["synced"], result["errors"]) == (5, 0)


def test_a_refused_key_fails_the_run_after_a_second_look_with_revenuecats_sentence(stage):
    it = stage()
    it.users(*names(30))
    it.connect(it.project_id, key="sk_not_this_one")

    with pytest.raises(JobError, match=r"401: Invalid API key\.") as refused:
        it.sync()

    assert "sk_not" not in str(refused.value)
    assert it.sandbox.stats()["calls"] == {}


def test_a_permission_taken_away_in_the_middle_stops_all_threads(stage):
    it = stage(customer_ids=names(50))
    it.users(*names(50))
    it.sandbox.add_fault(status=403, times=None, path="purchases", message="Needs at least the read permission.")

    with pytest.raises(JobError, match=r"403: Needs at least the read permission\."):
        it.sync()

    assert it.sandbox.stats()["statuses"]["403"] <= 50


def test_a_missing_integration_says_what_to_do(stage):
    it = stage()
    it.owner.run_script("UPDATE project_integrations SET deleted_at = now()")

    with pytest.raises(JobError, match=r"no RevenueCat integration\. A team admin stores a v2"):
        it.sync()


def test_a_key_that_no_header_can_carry_does_not_appear_in_the_error(stage):
    it = stage()
    it.connect(it.project_id, key="sk_secret\nsk_other")

    with pytest.raises(JobError, match="Store it again") as refused:
        it.sync()

    assert "sk_" not in str(refused.value)


def test_the_keys_own_project_serves_where_the_config_names_none(stage):
    it = stage()
    it.users("user_0")
    it.sandbox.customers["user_0"] = PAYING
    it.owner.run_script("UPDATE project_integrations SET config = '{}'")

    assert it.sync()[0]["synced"] == 1


def test_a_key_of_another_project_is_told_so(stage):
    it = stage()
    it.owner.run_script("""UPDATE project_integrations SET config = '{"project_id": "proj99999999"}'""")

    with pytest.raises(JobError, match=r"RevenueCat .*40[34]"):
        it.sync()


def test_sandbox_rows_count_only_when_asked_for(stage):
    it = stage()
    it.users("tester")
    played = Subscription(product_id=product("premium_p1m").id, gross=50.0, environment="sandbox")
    it.sandbox.customers["tester"] = Customer(subscriptions=(MONTHLY, played))

    it.sync()
    assert it.stored()["tester"][1] == 999

    it.sync(include_sandbox=True)
    assert it.stored()["tester"][1] == 5999


@pytest.mark.parametrize(("budget", "used_by_others"), [(480, 0), (480, 240), (60, 0)])
def test_nobody_is_lost_to_the_rate_limit_and_no_429_is_provoked(stage, budget, used_by_others):
    it = stage(customer_ids=names(250), budget=budget, configuration_budget=60, used_by_others=used_by_others)
    it.users(*names(250))

    result, yields = it.sync()

    stats = it.sandbox.stats()
    assert result["synced"] + result["not_found"] == 250
    assert stats["rate_limited"] == stats["impolite"] == 0
    waits = [step for step in yields if isinstance(step, Wait)]
    assert {wait.why for wait in waits} == {"RevenueCat's rate limit"}
    assert yields[-1].as_json()["processed"] == 250


def test_a_429_is_obeyed_by_every_thread(stage):
    it = stage(customer_ids=names(40))
    it.users(*names(40))
    it.sandbox.add_fault(status=429, times=1, path="user_11", retry_after=40)

    result, yields = it.sync()

    waits = [step for step in yields if isinstance(step, Wait)]
    assert [wait.why for wait in waits] == ["RevenueCat's rate limit"]
    assert 38 <= waits[0].seconds <= 40
    assert it.sandbox.stats()["impolite"] == 0
    assert result["synced"] + result["not_found"] == 40


def test_a_slice_too_short_for_its_page_writes_what_is_complete(stage):
    it = stage(customer_ids=names(50))
    it.users(*names(50))
    run, step = it.slice(), it.step
    run._ends_at = it.clock() + 20
    # Each refusal costs the slice a sleep of four seconds.
    it.sandbox.add_fault(status=503, times=30, path="subscriptions", retry_after=4)

    with it.job(run) as job:
        yielded = next(job)
        step.commit()

    done = yielded.cursor["counts"]["synced"] + yielded.cursor["counts"]["not_found"]
    written = it.owner.run_script("SELECT count(*) FROM app_users WHERE revenue_synced_at IS NOT NULL")[0][0]
    assert written == yielded.cursor["counts"]["synced"]
    assert done < 50


@pytest.mark.parametrize("others", [{"run_id": "the run before"}, {}], ids=["a rerun", "a cursor without a run"])
def test_the_waits_of_the_run_before_do_not_count(stage, others):
    it = stage()
    it.users("user_0")
    it.sandbox.add_fault(status=503, times=None, path="entitlements")
    cursor = {**asdict(Walk(total=1)), "attempt": ATTEMPTS - 1}
    del cursor["run_id"]

    with it.job(it.slice(cursor | others)) as job:
        assert next(job).cursor["attempt"] == 1
    own = it.slice(cursor | {"run_id": "run"})
    with it.job(own) as job, pytest.raises(JobError, match="eight times in a row"):
        next(job)


def test_users_who_come_and_go_do_not_break_the_counts(stage):
    it = stage(customer_ids=names(5))
    it.users(*names(5))
    cursor = asdict(Walk(total=2))
    run, step = it.slice(cursor), it.step

    with it.job(run) as job:
        progress = next(job)
        step.commit()

    assert (progress.processed, progress.total) == (2, 2)
    assert cursor["counts"]["synced"] == 0


def test_no_more_than_ten_ids_of_each_trouble_are_kept(stage):
    it = stage()
    it.users(*names(25), "known")
    it.sandbox.customers["known"] = PAYING

    result, yields = it.sync()

    assert result["not_found"] == 25
    assert len(result["not_found_ids"]) == len(yields[-1].cursor["ids"]["not_found"]) == 10


def test_one_customer_whom_revenuecat_cannot_answer_for_does_not_stop_the_others(stage):
    it = stage()
    it.users(*names(20))
    for name in names(20):
        it.sandbox.customers[name] = PAYING
    for position in (5, 19):  # in the middle, and at the end
        [[poison]] = it.owner.run_script(f"SELECT user_id FROM app_users ORDER BY id OFFSET {position} LIMIT 1")
        it.sandbox.add_fault(status=500, times=None, path=f"/{poison}/purchases")
    result, _ = it.sync()
    assert (result["synced"], result["errors"]) == (18, 2)
    assert sum(synced for _, _, synced in it.stored().values()) == 18


@pytest.mark.parametrize(
    "shape",
    [
        {"attributes": [{"name": "a", "value": "b"}]},
        {"attributes": {"items": [], "next_page": "http://[::1"}},
        {"first_seen_at": "yesterday"},
    ],
)
def test_one_customer_of_another_shape_does_not_fail_the_run(stage, monkeypatch, shape):
    it = stage()
    it.users(*names(5))
    for name in names(5):
        it.sandbox.customers[name] = PAYING
    real = answers._json

    def odd(data):
        body = real(data)
        return body | shape if body and body.get("object") == "customer" and body["id"] == "user_2" else body

    monkeypatch.setattr(answers, "_json", odd)
    result, _ = it.sync()
    assert (result["synced"], result["errors"], result["error_ids"]) == (4, 1, ["user_2"])


def test_a_key_that_is_rotated_in_the_middle_is_taken_up(stage):
    it = stage()
    it.users(*names(300))
    for name in names(300):
        it.sandbox.customers[name] = PAYING
    with it.job(it.slice()) as steps:
        next(steps)
        it.step.commit()
        it.sandbox.api_key = "sk_new"
        it.connect(it.project_id, key="sk_new")
        waited = next(steps)
    assert waited.why == "the new RevenueCat key"


def test_properties_that_are_no_object_give_way(stage):
    it = stage()
    it.users("a", properties="null")
    it.sandbox.customers["a"] = PAYING
    it.sync()
    first = it.stored()["a"][0]
    it.sync()
    assert it.stored()["a"][0] == first
    assert first["rc_status"] == "active"


def test_a_sandbox_tester_is_no_subscriber(stage):
    it = stage()
    it.users("tester")
    [bought] = PAYING.subscriptions
    tested = dataclasses.replace(bought, environment="sandbox")
    it.sandbox.customers["tester"] = dataclasses.replace(PAYING, subscriptions=(tested,))
    result, _ = it.sync()
    properties = it.stored()["tester"][0]
    assert (result["active"], properties["rc_status"], properties["rc_entitlements"]) == (0, "", "")
