"""The setup function's commands: teams and keys, as the owner of the tables."""

import json
from typing import Any

import pytest

from nightshift.integrations import decrypt_secret
from nightshift.ops.dispatch import answer
from nightshift.ops.teams import COMMANDS
from nightshift.settings import settings

ACME = {"team": "Acme", "admin_email": "ada@acme.example", "project": "Acme iOS"}


@pytest.fixture
def ask(cloud, owner):
    def ask(command: str, **arguments: Any) -> dict[str, Any]:
        event = json.loads(json.dumps({"command": command} | arguments))
        return json.loads(json.dumps(answer(event, commands=COMMANDS, db=owner, settings=cloud)))

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
        ("revenuecat_key", {"team": "a", "project": "x", "revenuecat_key": "sk"}, 'There is no project "x" in a team'),
        ("agent_key", {"team": "acme"}, 'There is no team "acme"'),
        ("runs", {}, 'Unknown command "runs". There is: setup, teams, project, member, revenuecat_key, agent_key, '),
        ("project", {"team": "acme", "project": "x"}, 'There is no team "acme"'),
        ("member", {"team": "acme", "email": "eve@example.com", "role": "boss"}, "role must be one of "),
        ("member", {"team": "acme", "email": "eve@example.com", "role": "admin"}, 'There is no team "acme"'),
        ("keys", {"team": "acme"}, 'There is no team "acme"'),
        ("end_key", {"team": "acme", "prefix": "owl_agent_x7Qz"}, 'There is no team "acme"'),
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
    assert said.startswith("KMS did not encrypt the RevenueCat key, so nothing was stored: ")
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
    assert logged.count("Owner's command") == 2
    assert not any(key in logged for key in ("sk_secret", made["agent_key"], other["agent_key"]))
