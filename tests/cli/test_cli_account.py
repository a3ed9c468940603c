"""The commands about a token's access and the API: whoami, projects, members, job-types, ping, openapi."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from nightshift_cli.show.param_table import param_rows
from tests.support.cli_world import ACME, ADA, PROJECT, RUN, TEAM, WHOAMI, Nightshift, Script, at, plain, run

APP = {"id": RUN, "project_id": PROJECT, "name": "Acme for iOS", "platform": "ios", "bundle_id": "com.acme"}
KEYS = [{"id": TEAM, "name": ""}, {"id": RUN, "name": "ci"}]
SYNC = {
    "job_type": "revenuecat_sync",
    "label": "RevenueCat Sync",
    "description": "Syncs",
    "params": {},
    "provider": "revenuecat",
    "paused": None,
}
PAUSE = {"job_type": "x", "what": "type", "since": "2026-11-23T03:00:00.000Z", "by": "ada", "why": "RevenueCat is down"}


@pytest.fixture
def full(api: Script) -> Script:
    """Add unknown fields to every answer, as a later release of the API could."""
    more = {"of_tomorrow": {"x": [1]}}
    api.on("GET /v1/auth/whoami", WHOAMI | more)
    api.on("GET /v1/projects", {"projects": [ACME | more]} | more)
    api.on(f"GET /v1/projects/{PROJECT}", ACME | {"apps": [APP | more]} | more)
    api.on(f"GET /v1/teams/{TEAM}/members", {"members": [ADA | more], "api_keys": KEYS} | more)
    api.on("GET /v1/job-types", {"job_types": [SYNC | {"paused": PAUSE} | more]} | more)
    api.on("GET /v1/health", {"status": "ok", "version": "9.8.7"} | more)
    api.on("GET /v1/openapi.json", {"openapi": "3.1.0", "paths": {}} | more)
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [run() | more], "cursor": None, "has_more": False} | more)
    api.runs(at(45) | more)
    api.on(f"GET /v1/jobs/{RUN}/timeline", {"timeline": [{"slice": 0} | more], "state": "new", "why": "Why"} | more)
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", {"job_run": run() | more} | more, status=201)
    api.on(f"POST /v1/jobs/{RUN}/rerun", {"job_run": run() | more} | more, status=201)
    api.on(f"POST /v1/jobs/{RUN}/cancel", {"cancelled": True} | more)
    return api


# Each printed document and its source in the API's answer.
DOCUMENTS: dict[str, Callable[[Any], Any]] = {
    "whoami": lambda answer: answer,
    "projects": lambda answer: {"projects": answer["projects"]},
    "projects acme": lambda answer: answer,
    "members": lambda answer: answer,
    "job-types": lambda answer: {"job_types": answer["job_types"]},
    "ping": lambda answer: answer,
    "openapi": lambda answer: answer,
    "jobs list": lambda answer: answer,
    f"jobs view {RUN}": lambda answer: answer["job_run"],
    f"jobs timeline {RUN}": lambda answer: answer,
    "jobs trigger revenuecat_sync": lambda answer: answer["job_run"],
    f"jobs rerun {RUN}": lambda answer: answer["job_run"],
    f"jobs cancel {RUN}": lambda answer: answer,
}


@pytest.mark.parametrize("arguments", DOCUMENTS)
def test_json_is_the_apis_own_answer_and_text_takes_what_it_does_not_know(
    full: Script, nightshift: Nightshift, arguments: str
) -> None:
    printed = nightshift(*arguments.split(), "--format", "json")
    assert (printed.exit_code, printed.stderr) == (0, "")
    asked = full.requests[-1][0]
    [(_, answer, _)] = full.answers[asked]
    assert json.loads(printed.stdout) == DOCUMENTS[arguments](json.loads(answer))
    shown = nightshift(*arguments.split())
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.strip()


def test_a_project_with_its_apps(full: Script, nightshift: Nightshift) -> None:
    shown = nightshift("projects", "acme").stdout
    assert re.search(r"\nname +Acme *\n", shown)
    assert re.search(rf"\nios +{RUN} +com.acme +Acme for iOS\n", shown)
    assert "Unknown project 'nosuch'. Available: acme." in nightshift("projects", "nosuch").stderr


def test_people_and_keys(full: Script, nightshift: Nightshift) -> None:
    lines = [line.split() for line in nightshift("members").stdout.splitlines()]
    assert lines[1:] == [["user", "owner", ADA["id"], ADA["email"]], ["key", TEAM], ["key", RUN, "ci"]]


def test_a_pause_is_told(full: Script, nightshift: Nightshift) -> None:
    told = "Paused since 2026-11-23 03:00 UTC by ada: RevenueCat is down\n"
    assert told in nightshift("job-types").stdout
    full.on("GET /v1/job-types", {"job_types": [SYNC]})
    assert nightshift("job-types").stdout == (
        "revenuecat_sync: RevenueCat Sync\nSyncs\nNeeds a key of revenuecat: nightshift integrations add\n"
    )


def test_the_api_is_up(full: Script, nightshift: Nightshift) -> None:
    assert nightshift("ping").stdout == f"{full.url} is up, version 9.8.7.\n"
    full.on("GET /v1/health", {"error": "Down"}, status=503)
    down = nightshift("ping")
    assert (down.exit_code, down.stdout) == (5, "")


def test_whether_it_is_up_is_told_without_a_token(full: Script, nightshift: Nightshift) -> None:
    for unfit in ("two words", "two\nlines"):
        assert nightshift("ping", env={"NIGHTSHIFT_TOKEN": unfit}).exit_code == 0
    nobody: dict[str, str | None] = {"NIGHTSHIFT_TOKEN": None}
    assert nightshift("ping", env=nobody).exit_code == 0
    asked = full.asked("GET /v1/health")
    assert len(asked) == 3
    assert not any("Authorization" in headers for _, _, headers, _ in asked)
    assert nightshift("open", "--print", env=nobody).stdout == f"{full.url}/\n"
    assert nightshift("jobs", "list", env=nobody).exit_code == 2


@pytest.mark.parametrize("me", [{"type": "robot"}, {"type": "user", "teams": 3}, {"type": "user", "teams": [3, {}]}])
def test_an_identity_of_tomorrow(api: Script, nightshift: Nightshift, me: dict[str, Any]) -> None:
    api.on("GET /v1/auth/whoami", me)
    assert nightshift("whoami").exit_code == 0
    assert nightshift("jobs", "list").exit_code in (2, 4)


def test_parameters_in_words() -> None:
    schema = {
        "$defs": {"Store": {"enum": ["app", "play"]}, "Tree": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]}},
        "required": ["days"],
        "properties": {
            "days": {"type": "integer", "description": "How many"},
            "stores": {"type": "array", "items": {"$ref": "#/$defs/Store"}, "default": ["app"]},
            "tree": {"$ref": "#/$defs/Tree", "title": "Tree"},
            "since": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "anything": {},
            "odd": 3,
        },
    }
    assert param_rows(schema) == [
        ["days", "integer", "required", "How many"],
        ["stores", "array of app | play", '["app"]', None],
        ["tree", "any | null", "", "Tree"],
        ["since", "string | null", "", None],
        ["anything", "any", "", None],
    ]
    assert [param_rows(odd) for odd in (None, [], {}, {"properties": []})] == [[], [], [], []]


def test_colour_is_for_terminals_that_want_it(
    api: Script, on_terminal: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.runs(run("completed"))
    _, sent = on_terminal("jobs", "view", RUN)
    assert "\x1b[32mcompleted" in sent
    assert "completed" in plain(sent)


def test_no_colour_where_it_is_not_wanted(
    api: Script, on_terminal: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, nightshift: Nightshift
) -> None:
    api.runs(run("completed"))
    assert "\x1b" not in nightshift("jobs", "view", RUN).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    _, sent = on_terminal("jobs", "view", RUN)
    assert not re.search(r"\x1b\[3\d", sent)
    assert "completed" in plain(sent)
