"""The job integration_check, worked by the executor on a real Postgres, against the sandbox of RevenueCat."""

import pytest

from local.revenuecat.sandbox import Sandbox
from local.revenuecat.server import serve
from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
from nightshift.base import settings as settings_module
from nightshift.tenants.integrations import encrypt_secret
from nightshift.testing import assert_resumable, make_team
from nightshift_jobs.integration_check import job

KEY = "sk_sandbox"
NO_ANSWER = AwsUnreachable("ReadTimeoutError: kms.eu-central-1.amazonaws.com")


@pytest.fixture
def revenuecat(kms, monkeypatch):
    sandbox = Sandbox(api_key=KEY, project_id="proj1")
    with serve(sandbox) as url:
        monkeypatch.setenv("REVENUECAT_URL", url)
        monkeypatch.setenv("INTEGRATIONS_KEY_ID", kms)
        settings_module.settings.cache_clear()
        yield sandbox


@pytest.fixture
def connected(owner, revenuecat):
    """``connected(key)``: a team whose project has this key."""

    def connected(key=KEY, *, config="{}"):
        team = make_team(owner)
        if key:
            secret = encrypt_secret(key, project_id=team.project_id).hex()
            owner.run_script(
                "INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)"
                f" VALUES ('{team.project_id}', 'revenuecat', '{config}', '\\x{secret}')"
            )
        return team

    return connected


@pytest.fixture
def check(job_run, connected):
    """``check(key)``: a finished run of a project with this key."""

    def check(key=KEY, *, config="{}", **params):
        return job_run("integration_check", team=connected(key, config=config), params=params).finish()

    return check


def test_it_says_what_the_key_reads(check):
    result = check().result
    assert (result["provider"], result["ok"]) == ("revenuecat", True)
    assert result["says"].endswith("; the key reads customers, subscriptions, purchases, products, entitlements.")


def test_a_missing_permission_is_named(check, revenuecat):
    revenuecat.add_fault(status=403, path="/products", times=None)
    result = check().result
    assert not result["ok"]
    assert result["says"].endswith("; the key lacks project_configuration:products:read.")


@pytest.mark.parametrize(
    ("stored", "error"),
    [
        ({"key": "sk_wrong"}, "RevenueCat refuses the key: Invalid API key."),
        ({"key": None}, 'This project has no integration "revenuecat". A team admin adds it: nightshift '),
        ({"config": '{"enabled": false}'}, 'The integration "revenuecat" of this project is disabled.'),
        ({"provider": "stripe"}, "params.provider must be one of revenuecat. Start the check with one of them."),
    ],
)  # fmt: skip
def test_a_key_of_no_use_fails_the_run_with_its_sentence(check, stored, error):
    row = check(**stored).row
    assert row["status"] == "failed"
    assert row["error"].startswith(error)


@pytest.mark.parametrize(
    ("troubles", "ends"),
    [
        ([NO_ANSWER] * (job.TRIES - 1), "completed"),
        ([NO_ANSWER] * job.TRIES, "failed"),
        ([AwsRefused("kms", "AccessDeniedException", "arn:aws:sts::1:assumed-role/x", passing=False)], "failed"),
    ],
)
def test_a_moment_without_kms_is_waited_out(check, monkeypatch, troubles, ends):
    left, decrypt = iter(troubles), job.stored_integration

    def stored_integration(*args, **of):
        for trouble in left:
            raise trouble
        return decrypt(*args, **of)

    monkeypatch.setattr(job, "stored_integration", stored_integration)
    row = check().row
    assert row["status"] == ends
    assert "arn:" not in (row["error"] or "")


def test_every_death_of_a_worker_leads_to_the_same_end(job_run, connected):
    assert_resumable(job_run, "integration_check", team=connected(), end=lambda owner: None)
