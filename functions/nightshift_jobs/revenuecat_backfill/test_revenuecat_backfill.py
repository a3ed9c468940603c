"""The job revenuecat_backfill with a sandbox in simulated time and a real database."""

import pytest

from local.revenuecat.catalogue import Customer
from nightshift.base.errors import JobError
from nightshift.jobs import Wait
from nightshift.testing import assert_resumable, make_team
from nightshift_jobs.revenuecat_backfill.job import revenuecat_backfill


def names(count):
    return [f"user_{n:04d}" for n in range(count)]


def backfill(it, **how):
    return it.run_to_the_end(revenuecat_backfill, **how)


@pytest.fixture
def known(stage):
    """``known(count)``: a stage whose RevenueCat knows so many customers."""

    def known(count, **options):
        it = stage(**options)
        for name in names(count):
            it.sandbox.customers[name] = Customer()
        return it

    return known


def test_missing_users_are_created_and_those_that_are_there_stay_as_they_are(known):
    it = known(250)
    it.users("user_0007", "of our own", properties='{"plan": "x"}')
    it.sandbox.customers["$RCAnonymousID:0"] = Customer()
    result, yields = backfill(it)
    assert result == {"read": 251, "made": 249, "known": 1, "skipped": 1}
    stored = it.stored()
    assert stored.keys() == {*names(250), "of our own"}
    assert stored["user_0007"][0] == {"plan": "x"}
    assert [step.message for step in yields] == [
        "100 customers read, 99 users created",
        "200 customers read, 199 users created",
        "251 customers read, 249 users created",
    ]
    assert backfill(it)[0] == {"read": 251, "made": 0, "known": 250, "skipped": 1}


def test_ids_that_cannot_be_stored_are_left_out(known):
    it = known(3)
    it.sandbox.customers["a\0b"] = it.sandbox.customers["x" * 2_001] = Customer()
    assert backfill(it)[0] == {"read": 5, "made": 3, "known": 0, "skipped": 2}


def test_what_keeps_it_from_creating_users_is_said_first(known):
    it = known(3)
    it.owner.run_script("ALTER TABLE app_users ADD plan text NOT NULL DEFAULT '', ADD region text NOT NULL DEFAULT ''")
    it.owner.run_script("ALTER TABLE app_users ALTER plan DROP DEFAULT, ALTER region DROP DEFAULT")
    with pytest.raises(JobError, match=r"requires values that RevenueCat does not have: plan, region\. Give"):
        backfill(it)
    it.owner.run_script("REVOKE INSERT (project_id, user_id) ON app_users FROM nightshift_worker")
    with pytest.raises(JobError, match=r"GRANT INSERT \(project_id, user_id\) ON app_users TO nightshift_worker, then"):
        backfill(it)
    assert it.sandbox.calls == []


def test_it_stays_within_the_rate_limit(known):
    it = known(1_500, budget=10, latency_s=0.5)
    result, yields = backfill(it)
    assert result["made"] == 1_500
    assert it.sandbox.stats()["rate_limited"] == 0
    assert {step.why for step in yields if isinstance(step, Wait)} == {"RevenueCat's rate limit"}


def test_trouble_is_waited_out_and_ends_the_run_with_its_sentence(known):
    it = known(250)
    it.sandbox.add_fault(times=10, path="customers", status=503)
    assert backfill(it)[0]["made"] == 250
    it.sandbox.add_fault(times=None, path="customers", status=503, message="Down.")
    with pytest.raises(JobError, match=r"^RevenueCat answered 503 eight times in a row: Down\.$"):
        backfill(it)


def test_a_refused_key_is_looked_at_again(known):
    it = known(250, latency_s=1)
    it.clock.at(it.clock() + 1.5, lambda: setattr(it.sandbox, "api_key", "sk_another"))
    it.clock.at(it.clock() + 20, lambda: setattr(it.sandbox, "api_key", "sk_sandbox"))
    assert backfill(it)[0]["made"] == 250
    it.sandbox.api_key = "sk_another"
    with pytest.raises(JobError, match="401: Invalid API key"):
        backfill(it)


def test_a_new_key_is_taken_up_and_a_deleted_project_is_not_written_to(known):
    it = known(450, latency_s=1)

    def rotate():
        it.sandbox.api_key = "sk_new"
        it.connect(it.project_id, key="sk_new")

    it.clock.at(it.clock() + 2.5, rotate)
    assert backfill(it)[0]["made"] == 450
    it.arrange("DELETE FROM app_users")
    it.clock.at(it.clock() + 2.5, lambda: it.owner.run_script("UPDATE projects SET deleted_at = now()"))
    with pytest.raises(JobError, match="This project or its team was deleted"):
        backfill(it)
    assert len(it.stored()) == 200


def test_a_list_that_begins_anew_ends(known, monkeypatch):
    it = known(250)
    real = it.sandbox.customers.page
    monkeypatch.setattr(it.sandbox.customers, "page", lambda offset, limit: real(offset % 200, limit))
    assert backfill(it)[0]["read"] == 200


def test_every_death_of_a_worker_leads_to_the_same_end(job_run, kms, known, owner, monkeypatch):
    monkeypatch.setenv("INTEGRATIONS_KEY_ID", kms)
    it, team = known(250), make_team(owner)
    it.connect(team.project_id)

    def job(run, db):
        return revenuecat_backfill(run, db, clock=it.clock, calls=it.calls)

    job.__module__ = revenuecat_backfill.__module__
    monkeypatch.setattr("nightshift.jobs.job_type.JobType.handler", lambda self: job)
    assert_resumable(
        job_run, "revenuecat_backfill", team=team,
        end=lambda owner: owner.run_script("SELECT user_id FROM app_users ORDER BY user_id"),
    )  # fmt: skip


def test_a_list_that_repeats_itself_behind_its_first_page_ends(known, monkeypatch):
    it = known(400)
    real = it.sandbox.customers.page
    # The first page, then the third, fourth and second in turn.
    monkeypatch.setattr(it.sandbox.customers, "page", lambda offset, limit: real(offset and 100 + offset % 300, limit))
    assert backfill(it)[0]["made"] == 400
    assert len(it.sandbox.calls) < 12


def test_a_user_whom_postgres_refuses_costs_one_user(known):
    it = known(150)
    it.owner.run_script("ALTER TABLE app_users ADD CHECK (user_id <> 'user_0004')")
    result, _ = backfill(it)
    assert result == {"read": 150, "made": 149, "known": 0, "skipped": 1}
    assert it.stored().keys() == {*names(150)} - {"user_0004"}


def test_a_customer_whom_a_page_names_twice_is_created_once(known):
    it = known(3)
    it.owner.run_script("DROP INDEX app_users_user")
    real = it.sandbox.customers.page
    it.sandbox.customers.page = lambda offset, limit: real(offset, limit) * 2
    assert backfill(it)[0]["made"] == 3
