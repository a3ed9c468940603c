"""Integrations of a project's own: stored, tested, changed and removed by its team, and never shown again."""

import json
import uuid

import pytest

from api import stored_keys
from local.revenuecat.sandbox import Sandbox
from local.revenuecat.server import serve
from nightshift.base import settings as settings_module
from nightshift.tenants.integrations import decrypt_secret
from nightshift.testing.rows import make_team
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.two_sessions import Act
from tests.support.world import token

KEY, MASK = "sk_sandbox", stored_keys.MASK
READS = ["customers", "subscriptions", "purchases", "products", "entitlements"]


@pytest.fixture
def team(cloud, owner):
    return make_team(owner)


@pytest.fixture
def api(team):
    return Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")


@pytest.fixture
def sandbox():
    return Sandbox(api_key=KEY, project_id="proj1")


@pytest.fixture
def revenuecat(sandbox, cloud, monkeypatch):
    with serve(sandbox) as url:
        monkeypatch.setenv("REVENUECAT_URL", url)
        settings_module.settings.cache_clear()
        yield sandbox


@pytest.fixture
def at(team):
    return f"/v1/projects/{team.project_id}/integrations"


def body(key=KEY, **config):
    return {"provider": "revenuecat", "config": {"api_key": key} | config}


def stored(owner):
    return owner.run_script(
        "SELECT project_id::text, config, secret_encrypted FROM project_integrations WHERE deleted_at IS NULL"
    )


def entries(owner):
    rows = owner.run_script("SELECT action, actor, details FROM job_audit_entries ORDER BY occurred_at")
    return [(action, actor.partition(":")[0], details) for action, actor, details in rows]


class TestAdding:
    def test_a_key_is_encrypted_tested_and_masked(self, api, at, team, revenuecat, owner):
        status, made = api("POST", at, body(project_id="proj1"))
        assert status == 201
        test = made.pop("test")
        assert {name: made[name] for name in ("project_id", "provider", "config", "enabled")} == {
            "project_id": team.project_id,
            "provider": "revenuecat",
            "config": {"project_id": "proj1", "api_key": MASK},
            "enabled": True,
        }
        name = test["says"].partition(";")[0]
        assert test == {"ok": True, "says": f"{name}; the key reads {', '.join(READS)}.", "reads": READS, "lacks": []}
        assert name.startswith("RevenueCat project ")
        [[project_id, config, secret]] = stored(owner)
        assert (project_id, config) == (team.project_id, {"project_id": "proj1"})
        assert decrypt_secret(secret, project_id=project_id) == KEY
        listed = api("GET", at)[1]
        assert listed["integrations"] == [made]
        [provider] = listed["providers"]
        assert (provider["provider"], [*provider["config"]["properties"]]) == ("revenuecat", ["project_id"])
        details = {"project_id": team.project_id, "provider": "revenuecat", "config": {"project_id": "proj1"}}
        assert entries(owner) == [("integration.added", "user", details)]

    def test_a_second_one_is_refused(self, api, at, revenuecat, owner):
        assert api("POST", at, body())[0] == 201
        assert api("POST", at, body("sk_other")) == (409, {"error": 'Integration for "revenuecat" already exists'})
        assert [entry[0] for entry in entries(owner)] == ["integration.added"]

    def test_of_two_adds_at_once_one_is_refused(self, api, at, team, owner, revenuecat, monkeypatch):
        def other_was_faster(*_):
            owner.run_script(
                "INSERT INTO project_integrations (project_id, provider, secret_encrypted)"
                f" VALUES ('{team.project_id}', 'revenuecat', 'theirs')"
            )
            return {"ok": True, "says": "x.", "reads": [], "lacks": []}

        monkeypatch.setattr(stored_keys, "test_report", other_was_faster)
        assert api("POST", at, body()) == (409, {"error": 'Integration for "revenuecat" already exists'})
        assert [row[2] for row in stored(owner)] == [b"theirs"]
        assert entries(owner) == []

    @pytest.mark.parametrize("dies", [False, True])
    def test_the_statement_that_adds_waits_for_the_other(self, meet, cloud, team, owner, dies):
        values = {"project_id": team.project_id, "provider": "revenuecat", "config": {}, "secret_encrypted": b"x"}
        act = Act(lambda db: db.one("insert_integration", **values), "insert_integration")
        met = meet(act, act, dies=dies)
        assert met.waited
        assert (met.other is None) == (not dies)
        assert len(stored(owner)) == 1

    def test_an_earlier_one_that_was_removed_is_not_in_the_way(self, api, at, revenuecat, owner):
        for _ in range(2):
            assert api("POST", at, body())[0] == 201
            assert api("DELETE", f"{at}/revenuecat") == (200, {"deleted": True})
        assert stored(owner) == []
        assert api("GET", at)[1]["integrations"] == []

    REFUSED = [
        ({}, "provider is required", "provider"),
        ({"provider": "revenuecat"}, "config is required", "config"),
        ({"provider": "stripe", "config": {}}, "provider must be one of revenuecat", "provider"),
        ({"provider": ["sk_secret"], "config": {}}, "provider must be text", "provider"),
        ({"provider": "revenuecat", "config": "sk_secret"}, "config must be a JSON object", "config"),
        (body() | {"sk_secret": "sk_secret"}, "body has a field that is not known", "body"),
        ({"provider": "revenuecat", "config": {}}, "config.api_key is required", "config.api_key"),
        (body(None), "config.api_key is required", "config.api_key"),
        (body(project_id=7), "config.project_id must be text", "config.project_id"),
        (body(project_id="sk_secret " * 30), "config.project_id must have at most 200 characters", "config.project_id"),
        (body(sk_secret="sk_secret"), "config has a field that is not known", "config"),
        *(
            (body(key), "config.api_key must be 1 to 500 visible ASCII characters without spaces", "config.api_key")
            for key in ("", "sk secret", "sk_sécret", "s" * 501, 7, ["sk_secret"], MASK, "sk_secret\x7f")
        ),
    ]  # fmt: skip

    @pytest.mark.parametrize(("given", "sentence", "field"), REFUSED)
    def test_a_refusal_names_the_field_and_repeats_nothing(
        self, api, at, owner, caplog, capsys, given, sentence, field
    ):
        status, told = api("POST", at, given)
        assert (status, told["field"]) == (400, field)
        assert told["error"].startswith(sentence)
        assert "sk_s" not in json.dumps(told) + caplog.text + capsys.readouterr().out
        assert stored(owner) == []

    @pytest.mark.parametrize(
        "text",
        [
            '{"provider": "revenuecat", "config": {"api_key": "sk_secret\\u0000"}}',
            '{"provider": "revenuecat", "config": {"api_key": "sk_secret\\ud800"}}',
            '{"provider": "revenuecat", "config": {"api_key": "sk_secret", "api_key": "sk_secret"}}',
            '{"config": "sk_secret"',
            '["sk_secret"]',
        ],
    )
    def test_a_body_that_cannot_be_read_is_not_repeated(self, api, at, owner, caplog, text):
        for method, path in (("POST", at), ("PATCH", f"{at}/revenuecat")):
            status, told = api(method, path, raw=text)
            assert status == 400
            assert told["error"].startswith("The body must be a JSON object in UTF-8")
            assert "sk_s" not in json.dumps(told) + caplog.text
        assert stored(owner) == []

    def test_without_kms_nothing_is_stored_and_no_role_is_named(self, api, at, owner, monkeypatch, caplog):
        monkeypatch.setenv("INTEGRATIONS_KEY_ID", "no-such-key")
        settings_module.settings.cache_clear()
        said = "The key could not be encrypted, so nothing was stored. Try again in a moment."
        assert api("POST", at, body()) == (503, {"error": said})
        assert (stored(owner), entries(owner)) == ([], [])
        assert KEY not in caplog.text

    def test_a_project_that_is_deleted_meanwhile_gets_none(self, api, at, team, owner, monkeypatch):
        def deleted(*_):
            owner.run_script(f"UPDATE projects SET deleted_at = now() WHERE id = '{team.project_id}'")

        monkeypatch.setattr(stored_keys, "test_report", deleted)
        assert api("POST", at, body())[0] == 409
        assert stored(owner) == []


class TestTheTest:
    def says(self, api, at, **config):
        status, made = api("POST", at, body(**config))
        assert status == 201
        return made["test"]

    @pytest.mark.parametrize(
        ("path", "kind", "permission"),
        [
            ("customers?", "customers", "customer_information:customers:read"),
            ("/subscriptions", "subscriptions", "customer_information:subscriptions:read"),
            ("/purchases", "purchases", "customer_information:purchases:read"),
            ("/products", "products", "project_configuration:products:read"),
            ("/entitlements", "entitlements", "project_configuration:entitlements:read"),
        ],
    )
    def test_a_missing_permission_is_named(self, api, at, revenuecat, path, kind, permission):
        revenuecat.add_fault(status=403, path=path.rstrip("?") if kind != "customers" else "/customers", times=None)
        test = self.says(api, at)
        lacks = [permission]
        if kind == "customers":
            lacks += ["customer_information:subscriptions:read", "customer_information:purchases:read"]
        assert (test["ok"], test["lacks"]) == (False, lacks)
        assert test["reads"] == [each for each in READS if f":{each}:" not in "".join(lacks)]
        assert test["says"].endswith(f"; the key lacks {', '.join(lacks)}.")

    def test_a_refused_key_is_stored_and_told_of(self, api, at, revenuecat, owner):
        _, made = api("POST", at, body("sk_wrong"))
        said = "RevenueCat refuses the key: Invalid API key."
        assert made["test"] == {"ok": False, "says": said, "reads": [], "lacks": []}
        assert len(stored(owner)) == 1

    def test_a_foreign_project_is_refused_in_revenuecats_words(self, api, at, revenuecat):
        test = self.says(api, at, project_id="proj2")
        assert "RevenueCat refuses the project: This API key has no access to the project 'proj2'." in test["says"]
        assert (test["ok"], test["lacks"]) == (False, [])

    def test_a_key_that_hides_its_project_is_tested_with_the_configs(self, api, at, revenuecat):
        revenuecat.add_fault(status=403, path="/projects", times=1)
        test = self.says(api, at, project_id="proj1")
        assert (test["ok"], test["reads"]) == (True, READS)
        assert test["says"].startswith("RevenueCat project proj1; ")

    def test_a_key_that_hides_its_project_without_one_is_told_what_to_set(self, api, at, revenuecat):
        revenuecat.add_fault(status=403, path="/projects", times=1)
        test = self.says(api, at)
        assert test["lacks"] == ["project_configuration:projects:read"]
        assert "set config.project_id" in test["says"]

    @pytest.mark.parametrize(
        ("fault", "why"),
        [
            ({"status": 503}, "not tested because RevenueCat answered 503: Something went wrong on our side."),
            ({"status": 502}, "not tested because RevenueCat answered 502: Bad Gateway."),
            ({"drop_connection": True}, "not tested because RevenueCat could not be reached: the connection failed."),
            ({"status": 503, "path": "/purchases"}, "went wrong on our side. (purchases)."),
        ],
    )
    def test_trouble_of_revenuecat_does_not_keep_a_key_from_being_stored(self, api, at, revenuecat, owner, fault, why):
        revenuecat.add_fault(**fault)
        test = self.says(api, at)
        assert test["says"].lower().endswith(why.lower())
        assert not test["ok"]
        assert len(stored(owner)) == 1

    def test_a_provider_that_hangs_costs_its_time_and_no_more(self, api, at, revenuecat, owner, monkeypatch):
        monkeypatch.setattr(stored_keys, "TEST_S", 0.3)
        revenuecat.add_fault(latency_s=30, times=None)
        # After its 30 seconds the provider would say that the key works.
        test = self.says(api, at)
        assert test["says"] == "Not tested because RevenueCat could not be reached: no answer in time."
        assert len(stored(owner)) == 1

    def test_a_message_that_quotes_the_key_is_shown_without_it(self, api, at, revenuecat):
        revenuecat.add_fault(status=401, message=f"The key {KEY} is unknown")
        assert KEY not in json.dumps(self.says(api, at))

    def test_a_test_that_fails_itself_is_no_obstacle(self, api, at, monkeypatch, owner, caplog):
        def broken(key, config, *, budget_s):
            raise ValueError(key)

        monkeypatch.setattr("nightshift_jobs.revenuecat_sync.key_check.check_key", broken)
        assert self.says(api, at)["says"] == "Not tested because the test failed: ValueError."
        assert KEY not in caplog.text


class TestChanging:
    @pytest.fixture
    def added(self, api, at, revenuecat):
        assert api("POST", at, body(project_id="proj1"))[0] == 201

    def test_another_key_replaces_the_stored_one(self, api, at, added, owner):
        [[project_id, _, before]] = stored(owner)
        status, changed = api("PATCH", f"{at}/revenuecat", {"config": {"api_key": "sk_other"}})
        assert (status, changed["config"]) == (200, {"project_id": "proj1", "api_key": MASK})
        assert changed["test"]["says"] == "RevenueCat refuses the key: Invalid API key."
        [[_, config, after]] = stored(owner)
        assert (config, decrypt_secret(after, project_id=project_id)) == ({"project_id": "proj1"}, "sk_other")
        assert before != after
        action, _, details = entries(owner)[-1]
        assert (action, details["key"]) == ("integration.changed", True)
        assert "sk_other" not in json.dumps(details)

    def test_the_config_alone_leaves_the_key(self, api, at, added, owner):
        [[_, _, before]] = stored(owner)
        assert api("PATCH", f"{at}/revenuecat", {"config": {"project_id": "proj9"}})[1]["test"] is None
        assert [row[1:] for row in stored(owner)] == [[{"project_id": "proj9"}, before]]
        api("PATCH", f"{at}/revenuecat", {"config": {"project_id": None}})
        assert [row[1:] for row in stored(owner)] == [[{}, before]]

    def test_disabled_and_enabled_it_is_what_it_was(self, api, at, added, owner):
        before = stored(owner)
        assert api("PATCH", f"{at}/revenuecat", {"enabled": False})[1]["enabled"] is False
        assert [row[1] for row in stored(owner)] == [{"project_id": "proj1", "enabled": False}]
        [listed] = api("GET", at)[1]["integrations"]
        assert (listed["enabled"], listed["config"]) == (False, {"project_id": "proj1", "api_key": MASK})
        assert api("PATCH", f"{at}/revenuecat", {"enabled": True})[1]["enabled"] is True
        assert stored(owner) == before
        assert [entry[2].get("enabled") for entry in entries(owner)] == [None, False, True]

    def test_values_of_the_platform_that_we_do_not_know_stay_and_are_masked(self, api, at, added, owner):
        owner.run_script("""UPDATE project_integrations SET config = config || '{"webhook_secret": "whsec_x"}'""")
        status, changed = api("PATCH", f"{at}/revenuecat", {"config": {"project_id": "proj2"}})
        assert (status, changed["config"]["webhook_secret"]) == (200, MASK)
        assert "whsec_x" not in json.dumps(api("GET", at)[1])
        assert stored(owner)[0][1] == {"project_id": "proj2", "webhook_secret": "whsec_x"}

    @pytest.mark.parametrize(
        ("given", "field"),
        [({"enabled": "no"}, "enabled"), ({"config": {"api_key": MASK}}, "config.api_key"), ({"x": 1}, "body")],
    )
    def test_what_is_wrong_changes_nothing(self, api, at, added, owner, given, field):
        before = stored(owner)
        status, told = api("PATCH", f"{at}/revenuecat", given)
        assert (status, told["field"], stored(owner)) == (400, field, before)

    @pytest.mark.parametrize("method", ["PATCH", "DELETE"])
    @pytest.mark.parametrize(
        ("name", "said"), [("revenuecat", "RevenueCat integration not found"), ("x", '"x" integration not found')]
    )
    def test_what_is_not_there_is_a_404(self, api, at, method, name, said):
        given = {} if method == "PATCH" else None
        assert api(method, f"{at}/{name}", given) == (404, {"error": said})


class TestStarting:
    """A run is refused with a sentence while its project has no key for it."""

    def test_without_or_with_a_disabled_key_no_run_starts(self, api, at, team, revenuecat, owner):
        def answers():
            trigger = {"job_type": "revenuecat_sync", "project_id": team.project_id}
            started = api("POST", f"/v1/teams/{team.id}/jobs/trigger", trigger)
            return started, api("POST", f"{at}/revenuecat/sync")

        gone = {"error": "RevenueCat integration not found or disabled"}
        add = "A team admin adds it: nightshift integrations add revenuecat"
        said = f'This project has no integration "revenuecat". {add}'
        assert answers() == ((400, {"error": said}), (404, gone))
        api("POST", at, body())
        api("PATCH", f"{at}/revenuecat", {"enabled": False})
        enable = "A team admin enables it: nightshift integrations enable revenuecat"
        said = f'The integration "revenuecat" of this project is disabled. {enable}'
        assert answers() == ((400, {"error": said}), (404, gone))
        assert owner.run_script("SELECT count(*) FROM job_runs") == [[0]]
        api("PATCH", f"{at}/revenuecat", {"enabled": True})
        (status, made), again = answers()
        assert status == 201
        assert again == (
            409,
            {"error": "A job of this type is already running or pending", "existing_run_id": made["job_run"]["id"]},
        )

    def test_another_teams_project_is_not_told_of(self, api, owner, team):
        others = make_team(owner, slug="others")
        for project_id in (others.project_id, str(uuid.uuid4())):
            trigger = {"job_type": "revenuecat_sync", "project_id": project_id}
            assert api("POST", f"/v1/teams/{team.id}/jobs/trigger", trigger) == (404, {"error": "Project not found"})

    def test_a_job_without_a_provider_needs_no_key(self, api, team):
        trigger = {"job_type": "integration_check", "project_id": team.project_id}
        assert api("POST", f"/v1/teams/{team.id}/jobs/trigger", trigger)[0] == 201


def test_an_agent_key_needs_a_permission_that_none_has(api, at, team, revenuecat, owner):
    agent = Api(f"Bearer {team.agent_key}")
    refused = (403, {"error": "Missing permission: integrations:write"})
    for method, path, given in (("GET", at, None), ("POST", at, body()), ("DELETE", f"{at}/revenuecat", None)):
        assert agent(method, path, given) == refused
    owner.run_script("UPDATE api_keys SET permissions = permissions || ARRAY['integrations:write']")
    assert agent("POST", at, body())[0] == 201
    assert entries(owner)[0][1] == "api_key"
