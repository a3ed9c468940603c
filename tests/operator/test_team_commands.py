"""The setup function's commands: teams and keys, as the schema owner."""

import json
from typing import Any

import pytest

from nightshift.base.settings import settings
from nightshift.operator.dispatch import answer
from nightshift.tenants.integrations import decrypt_secret
from setup.app import COMMANDS

ACME = {"team": "Acme", "admin_email": "ada@acme.example", "project": "Acme iOS"}


@pytest.fixture
def ask(cloud, owner):
    def ask(command: str, **arguments: Any) -> dict[str, Any]:
        event = json.loads(json.dumps({"command": command} | arguments))
        return json.loads(
            json.dumps(answer(event, commands=COMMANDS, request_id="request-1", db=owner, settings=cloud))
        )

    return ask


def count(owner, table):
    return owner.run_script(f"SELECT count(*) FROM {table}")[0][0]


def test_a_team_with_its_first_key_and_a_providers_secret(ask, owner):
    made = ask("setup", **ACME, revenuecat_key="sk_one", revenuecat_project_id="proj1")
    assert (made["team_slug"], made["project_slug"]) == ("acme", "acme-ios")
    assert made["agent_key"].startswith("owl_agent_")
    [[secret]] = owner.run_script("SELECT secret_encrypted FROM project_integrations")
    assert decrypt_secret(secret, project_id=made["project_id"]) == "sk_one"

    assert ask("revenuecat_key", team="acme", project="acme-ios", revenuecat_key="sk_two") == {
        "project_id": made["project_id"]
    }
    [[secret]] = owner.run_script("SELECT secret_encrypted FROM project_integrations")
    assert decrypt_secret(secret, project_id=made["project_id"]) == "sk_two"

    other = ask("agent_key", team="acme", ends=made["agent_key"])["agent_key"]
    assert other != made["agent_key"]
    assert owner.run_script("SELECT count(*) FROM api_keys WHERE deleted_at IS NULL") == [[1]]


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("setup", {"team": "Acme"}, "admin_email is required"),
        ("setup", ACME | {"admin_email": "ada"}, "admin_email must be an address like ada@example.com, got 'ada'"),
        ("setup", ACME | {"team": "  "}, "team must have at least 1 character, got "),
        ("setup", ACME | {"team": 7}, "team must be text, got 7"),
        ("revenuecat_key", {"team": "a", "project": "x", "revenuecat_key": "sk"}, 'Unknown project "x" in the team'),
        ("agent_key", {"team": "acme"}, 'Unknown team "acme"'),
        ("runs", {}, 'Unknown command "runs". Available: setup, teams, project, member, revenuecat_key, agent_key, '),
        ("project", {"team": "acme", "project": "x"}, 'Unknown team "acme"'),
        ("member", {"team": "acme", "email": "eve@example.com", "role": "boss"}, "role must be one of "),
        ("member", {"team": "acme", "email": "eve@example.com", "role": "admin"}, 'Unknown team "acme"'),
        ("keys", {"team": "acme"}, 'Unknown team "acme"'),
        ("end_key", {"team": "acme", "prefix": "owl_agent_x7Qz"}, 'Unknown team "acme"'),
        ("agent_key", {"team": "acme", "days": 0}, "days must be "),
    ],
)  # fmt: skip
def test_bad_input_is_a_sentence_and_makes_nothing(ask, owner, command, arguments, sentence):
    assert ask(command, **arguments)["error"].startswith(sentence)
    assert [count(owner, table) for table in ("teams", "users", "api_keys", "projects")] == [0, 0, 0, 0]


def test_without_kms_nothing_is_made(ask, owner, monkeypatch):
    monkeypatch.setenv("INTEGRATIONS_KEY_ID", "no-such-key")
    settings.cache_clear()
    said = ask("setup", **ACME, revenuecat_key="sk_one")["error"]
    assert said.startswith("KMS did not encrypt the key, so nothing was stored: ")
    assert "sk_one" not in said
    assert count(owner, "teams") == 0


@pytest.mark.parametrize("key", ["sk_secret" + "x" * 500, ["sk_secret"], "sk_secret\ud800"])
def test_a_key_that_will_not_do_is_not_repeated(ask, key):
    said = ask("setup", **ACME, revenuecat_key=key)["error"]
    assert said.startswith("revenuecat_key")
    assert "sk_secret" not in said


def test_keys_are_in_no_log(ask, caplog, capsys):
    made = ask("setup", **ACME, revenuecat_key="sk_secret")
    other = ask("agent_key", team="acme")
    logged = caplog.text + capsys.readouterr().out
    assert logged.count("Operator's command") == 2
    assert not any(key in logged for key in ("sk_secret", made["agent_key"], other["agent_key"]))


class TestCrowds:
    """With a hundred times the demo's data, each list has a limit, says that there is more, and can be searched."""

    def test_of_teams_with_their_projects_and_people(self, ask, owner):
        owner.run_script(
            "INSERT INTO teams (name, slug) SELECT 'Team ' || n, 'team-' || lpad(n::text, 4, '0')"
            " FROM generate_series(1, 600) n;"
            "INSERT INTO projects (team_id, name, slug) SELECT id, 'P', 'p-' || lpad(n::text, 4, '0')"
            " FROM teams, generate_series(1, 2000) n WHERE slug = 'team-0007';"
            "INSERT INTO users (email) SELECT 'person-' || lpad(n::text, 4, '0') || '@x.example'"
            " FROM generate_series(1, 500) n;"
            "INSERT INTO team_members (team_id, user_id, role) SELECT teams.id, users.id, 'member' FROM teams, users"
            " WHERE slug = 'team-0007'"
        )
        listed = ask("teams")
        assert (len(listed["teams"]), listed["has_more"]) == (500, True)
        assert [team["slug"] for team in listed["teams"]] == [f"team-{n:04}" for n in range(1, 501)]

        found = ask("teams", search="TEAM-0007")
        [team] = found["teams"]
        assert "has_more" not in found
        assert (len(team["projects"]), team["projects_in_all"]) == (20, 2000)
        assert (len(team["people"]), team["people_in_all"]) == (20, 500)
        assert team["projects"][:2] == ["p-0001", "p-0002"]
        assert team["people"][0] == {"email": "person-0001@x.example", "role": "member"}
        assert ask("teams", search="nothing like it") == {"teams": []}

    def test_of_a_teams_keys(self, ask, owner):
        made = ask("setup", **ACME)
        owner.run_script(
            "INSERT INTO api_keys (team_id, key_type, key_hash, key_prefix, name, permissions, created_at)"
            f" SELECT '{made['team_id']}', 'agent', sha256(n::text::bytea), 'owl_agent_' || lpad(n::text, 4, '0'),"
            " 'Pipeline ' || n, '{jobs:read}', now() + n * interval '1 s' FROM generate_series(1, 700) n"
        )
        listed = ask("keys", team="acme")
        assert (len(listed["keys"]), listed["has_more"]) == (500, True)
        for search in ("pipeline 699", "owl_agent_0699"):
            assert [key["name"] for key in ask("keys", team="acme", search=search)["keys"]] == ["Pipeline 699"]
