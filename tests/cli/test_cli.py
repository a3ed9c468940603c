"""The command line with an API that plays a script."""

import json
import re
import shlex
import signal
import socket
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.base.text import clean
from nightshift_cli.main import main
from nightshift_cli.remote.config import find_config
from nightshift_cli.show.follow import PATIENCE, POLL_S
from tests.support.cli_world import (
    ACME,
    PROJECT,
    RUN,
    TEAM,
    TOKEN,
    Nightshift,
    Script,
    at,
    command,
    environment,
    plain,
    run,
)
from tests.support.processes import started


def test_list_is_a_table_and_asks_for_what_was_asked(api: Script, nightshift: Nightshift) -> None:
    created = (datetime.now(UTC) - timedelta(hours=3, minutes=5)).isoformat()
    page = [at(45, "Synced 38 users", created_at=created), run("failed", error="Kein Schlüssel bitte prüfen 🔑")]
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": page, "cursor": "2026|x", "has_more": True})
    result = nightshift(
        *shlex.split("jobs list --type revenuecat_sync --status running --project acme --since 7d --until 1h --limit 2")
    )
    assert result.exit_code == 0
    header, first, second, more = result.stdout.splitlines()
    assert header.split() == ["RUN", "STATUS", "TYPE", "DONE", "AGE", "TOOK", "PROJECT", "BY", "MESSAGE"]
    cells = re.split(r"  +", first)
    assert cells == [
        RUN,
        "running",
        "RevenueCat Sync",
        "45/200 22%",
        "3 h",
        "acme",
        "ada@acme.example",
        "Synced 38 users",
    ]
    assert "Kein Schlüssel bitte prüfen 🔑" in second
    assert more == "There are more runs. Show all with --all, or the next page with --cursor '2026|x'"
    [(_, query, headers, _)] = api.asked(f"GET /v1/teams/{TEAM}/jobs")
    assert set(query.split("&")) == {
        "job_type=revenuecat_sync",
        "status=running",
        f"project_id={PROJECT}",
        "since=7d",
        "until=1h",
        "limit=2",
    }
    assert headers["Authorization"] == f"Bearer {TOKEN}"


def test_an_empty_list_says_so(api: Script, nightshift: Nightshift) -> None:
    empty = {"job_runs": [], "cursor": None, "has_more": False}
    api.on(f"GET /v1/teams/{TEAM}/jobs", empty)
    assert nightshift("jobs", "list").stdout == "No runs.\n"
    assert json.loads(nightshift("jobs", "list", "--format", "json").stdout) == empty


def test_all_walks_the_pages(api: Script, nightshift: Nightshift) -> None:
    api.on(
        f"GET /v1/teams/{TEAM}/jobs",
        {"job_runs": [run(id="a")], "cursor": "1|a", "has_more": True},
        {"job_runs": [run(id="b")], "cursor": None, "has_more": False},
    )
    result = nightshift("--format", "json", "jobs", "list", "--all")
    document = json.loads(result.stdout)
    assert [each["id"] for each in document["job_runs"]] == ["a", "b"]
    assert not document["has_more"]
    assert [query for _, query, _, _ in api.asked(f"GET /v1/teams/{TEAM}/jobs")] == [
        "limit=50",
        "cursor=1%7Ca&limit=50",
    ]


def test_all_does_not_walk_in_circles(api: Script, nightshift: Nightshift) -> None:
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [run()], "cursor": "1|a", "has_more": True})
    result = nightshift("jobs", "list", "--all")
    assert result.exit_code == 5
    assert "no new cursor for the next page" in result.stderr


def test_view_shows_everything_and_why_it_is_not_moving(api: Script, nightshift: Nightshift) -> None:
    api.runs(at(45, "Synced 38 users, 7 skipped", started_at="2026-01-02T03:04:06.000Z", rerun_of="an older one"))
    why = "waiting 40 s for RevenueCat's rate limit"
    api.on(f"GET /v1/jobs/{RUN}/timeline", {"timeline": [], "state": "waiting", "why": why, "since": None})
    result = nightshift("jobs", "view", RUN)
    assert result.exit_code == 0
    for shown in (
        RUN,
        TEAM,
        "45/200 22% Synced 38 users, 7 skipped",
        why,
        "manual:user:",
        "2026-01-02",
        "an older one",
    ):
        assert shown in result.stdout
    assert json.loads(nightshift("jobs", "view", RUN, "--format", "json").stdout)["progress"]["processed"] == 45


def test_view_does_without_the_reason(api: Script, nightshift: Nightshift) -> None:
    api.runs(run("pending"))
    api.on(f"GET /v1/jobs/{RUN}/timeline", {"error": "Broken"}, status=500)
    result = nightshift("jobs", "view", RUN)
    assert result.exit_code == 0
    assert "pending" in result.stdout


def test_view_of_a_failed_run_is_a_success_of_view(api: Script, nightshift: Nightshift) -> None:
    api.runs(run("failed", error="No provider key"))
    assert nightshift("jobs", "view", RUN).exit_code == 0
    assert nightshift("jobs", "view", RUN, "--follow").exit_code == 1


def test_trigger_sends_params_as_json_or_text(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", {"job_run": run("pending")}, status=201)
    params = {
        "yes": ("true", True),
        "three": ("3", 3),
        "quoted": ('"x"', "x"),
        "word": ("x=y", "x=y"),
        "empty": ("", ""),
        "object": ('{"a": [1]}', {"a": [1]}),
        "not_json": ("NaN", "NaN"),
        "too_large": ("1e999", "1e999"),
    }
    flags = [part for name, (text, _) in params.items() for part in ("--param", f"{name}={text}")]
    result = nightshift("jobs", "trigger", "revenuecat_sync", "--notify", *flags, "--idempotency-key", "k1")
    assert result.exit_code == 0
    assert f"nightshift jobs view {RUN} --follow" in result.stdout
    [(_, _, headers, body)] = api.asked(f"POST /v1/teams/{TEAM}/jobs/trigger")
    assert headers["Idempotency-Key"] == "k1"
    assert body == {
        "job_type": "revenuecat_sync",
        "project_id": PROJECT,
        "notify": True,
        "params": {name: value for name, (_, value) in params.items()},
    }


@pytest.mark.parametrize(
    ("command", "path"),
    [(("trigger", "revenuecat_sync"), f"/v1/teams/{TEAM}/jobs/trigger"), (("rerun", RUN), f"/v1/jobs/{RUN}/rerun")],
)
def test_what_starts_a_run_is_repeated_under_one_key(
    api: Script, nightshift: Nightshift, command: tuple[str, ...], path: str
) -> None:
    where = f"POST {path}"
    api.on(where, (503, {"error": "The database cannot be reached"}), (201, {"job_run": run("pending")}))
    assert nightshift("jobs", *command).exit_code == 0
    first, second = (headers["Idempotency-Key"] for _, _, headers, _ in api.asked(where))
    assert first == second


@pytest.mark.parametrize(
    ("last", "exit_code", "words"),
    [
        (at(200, "Synced 200 users", status="completed", result={"synced": 200}), 0, "completed."),
        (at(45, status="failed", error="RevenueCat refuses the key"), 1, "failed: RevenueCat refuses the key"),
        (at(45, status="cancelled"), 3, "cancelled."),
    ],
)
def test_wait_prints_one_line_per_change_and_exits_with_the_run(
    api: Script, nightshift: Nightshift, last: dict[str, Any], exit_code: int, words: str
) -> None:
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", {"job_run": run("pending")}, status=201)
    api.runs(run("pending"), at(10, "Synced 10 users"), at(10, "Synced 10 users"), at(45, "Synced 45 users"), last)
    naps: list[float] = []
    result = nightshift("jobs", "trigger", "revenuecat_sync", "--project", PROJECT, "--wait", sleep=naps.append)
    assert result.exit_code == exit_code
    lines = result.stdout.splitlines()
    if last["result"]:
        assert lines.pop() == "  Synced: 200"
    assert lines[:4] == [
        f"Run {RUN} of RevenueCat Sync",
        "pending",
        "running 10/200 Synced 10 users",
        "running 45/200 Synced 45 users",
    ]
    assert lines[-1] == f"Run {RUN} {words}"
    assert len(naps) == 5
    assert naps == sorted(naps)  # short runs are polled often, long ones every two seconds
    assert (naps[0], POLL_S) == (0.25, 2)


def test_wait_with_json_prints_the_final_run_alone(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", {"job_run": run("pending")}, status=201)
    api.runs(at(45), at(200, status="completed"))
    result = nightshift("jobs", "trigger", "revenuecat_sync", "--wait", "--format", "json")
    assert json.loads(result.stdout) == at(200, status="completed")
    assert "running 45/200" in result.stderr


def test_wait_outlives_trouble_and_says_so_once(api: Script, nightshift: Nightshift) -> None:
    api.runs(at(1), (503, "<html>"), (429, {"message": "Too Many Requests"}), (500, {}), at(2), run("completed"))
    result = nightshift("jobs", "view", RUN, "--follow")
    assert result.exit_code == 0
    assert "responded with status 503 and text/html" in result.stdout
    assert "Too Many Requests" in result.stdout


def test_wait_counts_each_trouble_anew(api: Script, nightshift: Nightshift) -> None:
    trouble = [(503, {"error": "Down"})] * (PATIENCE - 1)
    api.runs(at(1), *trouble, at(1), *trouble, at(1), run("completed"))
    result = nightshift("jobs", "view", RUN, "--follow")
    assert result.exit_code == 0
    assert result.stdout.count("running 1/200") == 1


def test_wait_tells_why_nothing_moves(api: Script, nightshift: Nightshift) -> None:
    api.runs(*[at(1)] * 12, run("completed"))
    api.on(f"GET /v1/jobs/{RUN}/timeline", {"timeline": [], "state": "waiting", "why": "waiting for RevenueCat"})
    result = nightshift("jobs", "view", RUN, "--follow")
    assert result.stdout.count("waiting for RevenueCat") == 1


def test_wait_gives_up_with_the_way_back(api: Script, nightshift: Nightshift) -> None:
    api.runs(at(1), (500, {"error": "Down"}))
    result = nightshift("jobs", "view", RUN, "--follow", "--format", "json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["run_id"] == RUN
    assert f"nightshift jobs view {RUN} --follow" in result.stderr
    assert len(api.asked(f"GET /v1/jobs/{RUN}")) == 1 + PATIENCE


@pytest.mark.parametrize("arguments", [(), ("--format", "json")])
def test_ctrl_c_leaves_the_run_going(api: Script, nightshift: Nightshift, arguments: tuple[str, ...]) -> None:
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", {"job_run": run("pending")}, status=201)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    result = nightshift("jobs", "trigger", "revenuecat_sync", "--wait", *arguments, sleep=interrupt)
    assert result.exit_code == 130
    assert f"nightshift jobs view {RUN} --follow" in result.stderr
    assert "Error" not in result.stderr
    assert not api.asked(f"POST /v1/jobs/{RUN}/cancel")
    if arguments:
        told = json.loads(result.stdout)
        assert (told["run_id"], told["error"][:21]) == (RUN, "Stopped watching; the")


def test_ctrl_c_elsewhere_is_130_too(api: Script, nightshift: Nightshift) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    api.on("GET /v1/projects", {"error": "Down"}, status=503)
    assert nightshift("projects", sleep=interrupt).exit_code == 130


def test_an_overlap_names_the_run_in_the_way(api: Script, nightshift: Nightshift) -> None:
    body = {"error": "A job of this type is already running or pending", "existing_run_id": RUN}
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", body, status=409)
    result = nightshift("jobs", "trigger", "revenuecat_sync")
    assert result.exit_code == 4
    assert body["error"] in result.stderr
    assert f"nightshift jobs view {RUN} --follow" in result.stderr
    assert json.loads(nightshift("jobs", "trigger", "revenuecat_sync", "--format", "json").stdout) == body


def test_a_command_to_copy_holds_no_other_command(api: Script, nightshift: Nightshift) -> None:
    body = {"error": "Already running", "existing_run_id": "x; rm -rf ~"}
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", body, status=409)
    assert "view 'x; rm -rf ~' --follow" in nightshift("jobs", "trigger", "revenuecat_sync").stderr


@pytest.mark.parametrize(
    ("status", "body", "exit_code", "words"),
    [
        (401, {"error": "API key expired"}, 4, "API key expired"),
        (403, {"message": "Forbidden"}, 4, "Forbidden"),
        (429, {"message": "Too Many Requests"}, 4, "Too Many Requests"),
        (404, "<html>nginx</html>", 5, "responded with status 404 and text/html instead of JSON"),
        (200, "<html>portal</html>", 5, "responded with status 200 and text/html instead of JSON"),
        (200, {"hello": "world"}, 5, "without a valid 'job_run'"),
        (200, {"job_run": {"id": 7}}, 5, "no id and status"),
        (302, {"error": "moved"}, 5, "responded with status 302"),
        (
            500,
            {"error": "Something broke", "request_id": "a-1"},
            5,
            "responded with status 500: Something broke (request a-1)",
        ),
    ],
)
def test_answers_that_are_not_a_run(
    api: Script, nightshift: Nightshift, status: int, body: Any, exit_code: int, words: str
) -> None:
    api.runs((status, body))
    result = nightshift("jobs", "view", RUN)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert words in result.stderr
    assert not api.asked("GET /elsewhere")
    document = json.loads(nightshift("jobs", "view", RUN, "--format", "json").stdout)
    assert words in document.get("error", document.get("message"))


TOO_MANY = {"error": "This team has started 120 runs within a minute, which is the limit. Try again in 7 s."}


@pytest.mark.parametrize(
    ("retry_after", "slept"), [("", [0.5]), ("0", [0.5]), ("7", [7]), ("Wed, 21 Oct 2026 07:28:00 GMT", [0.5])]
)
def test_a_throttled_trigger_waits_as_long_as_it_is_asked_to(
    api: Script, nightshift: Nightshift, retry_after: str, slept: list[float]
) -> None:
    api.retry_after, naps = retry_after, list[float]()
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", (429, TOO_MANY), (201, {"job_run": run("pending")}))
    assert nightshift("jobs", "trigger", "revenuecat_sync", sleep=naps.append).exit_code == 0
    assert naps == slept


@pytest.mark.parametrize("retry_after", ["11", "999999999"])
def test_a_throttled_trigger_that_would_wait_long_says_so_instead(
    api: Script, nightshift: Nightshift, retry_after: str
) -> None:
    api.retry_after, naps = retry_after, list[float]()
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", TOO_MANY, status=429)
    result = nightshift("jobs", "trigger", "revenuecat_sync", sleep=naps.append)
    assert (result.exit_code, result.stderr) == (4, f"Error: {TOO_MANY['error']}\n")
    assert naps == []


def test_a_project_on_a_later_page_is_found(api: Script, nightshift: Nightshift) -> None:
    first = {"projects": [ACME], "has_more": True, "cursor": ACME["id"]}
    second = {"projects": [ACME | {"id": "0b6a5a0e-0000-4000-8000-000000000002", "slug": "zebra"}]}
    api.on("GET /v1/projects", first, second)
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", {"job_run": run("pending")}, status=201)
    assert nightshift("jobs", "trigger", "revenuecat_sync", "--project", "zebra").exit_code == 0
    [(_, _, _, body)] = api.asked(f"POST /v1/teams/{TEAM}/jobs/trigger")
    assert body["project_id"] == second["projects"][0]["id"]
    asked = [query for _, query, _, _ in api.asked("GET /v1/projects")]
    assert asked == [f"team_id={TEAM}&q=zebra", f"team_id={TEAM}&q=zebra&cursor={ACME['id']}"]


def test_pages_that_lead_nowhere_come_to_an_end(api: Script, nightshift: Nightshift) -> None:
    api.on("GET /v1/projects", {"projects": [ACME], "has_more": True, "cursor": "the same"})
    nightshift("jobs", "trigger", "revenuecat_sync", "--project", "zebra")
    # The search, and the whole list from which the error names some.
    assert len(api.asked("GET /v1/projects")) == 2 + 2


def test_a_list_of_runs_looks_up_the_names_of_its_own_projects(api: Script, nightshift: Nightshift) -> None:
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(150)]
    listed = [run() | {"project_id": id} for id in ids]
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": listed, "cursor": None, "has_more": False})
    pages = [{"projects": [ACME | {"id": id, "slug": f"slug-{id[:8]}"}]} for id in (ids[0], ids[149])]
    api.on("GET /v1/projects", *pages)
    shown = nightshift("jobs", "list").stdout
    asked = [parse_qs(query) for _, query, _, _ in api.asked("GET /v1/projects")]
    assert [each["ids"][0].split(",") for each in asked] == [ids[:100], ids[100:]]
    assert "slug-00000000" in shown
    assert "slug-00000095" in shown


def test_a_token_that_is_not_taken_is_told_with_its_source(api: Script, nightshift: Nightshift) -> None:
    api.runs((401, {"error": "API key expired"}))
    assert nightshift("jobs", "view", RUN).stderr == "Error: API key expired\nThe token came from NIGHTSHIFT_TOKEN.\n"


def test_nothing_listens(nightshift: Nightshift) -> None:
    naps: list[float] = []
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        result = nightshift("jobs", "view", RUN, env={"NIGHTSHIFT_API_URL": url}, sleep=naps.append)
    assert result.exit_code == 5
    assert "connection refused" in result.stderr
    assert naps == []


def test_a_name_that_is_not_known(nightshift: Nightshift, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    result = nightshift("jobs", "view", RUN, env={"NIGHTSHIFT_API_URL": "https://nowhere.invalid"})
    assert result.exit_code == 5
    assert "https://nowhere.invalid: its name cannot be resolved" in result.stderr


def test_a_connection_that_breaks(nightshift: Nightshift) -> None:
    """The server closes the connection on every request: three attempts, then an error."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            for _ in range(3):
                connection, _ = listener.accept()
                connection.recv(65536)
                connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        port = listener.getsockname()[1]
        naps: list[float] = []
        result = nightshift(
            "jobs", "view", RUN, env={"NIGHTSHIFT_API_URL": f"http://127.0.0.1:{port}"}, sleep=naps.append
        )
        thread.join()
    assert result.exit_code == 5
    assert "failed" in result.stderr
    assert naps == [0.5, 1]


def test_cancel_rerun_and_timeline(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST /v1/jobs/{RUN}/cancel", {"cancelled": True})
    assert nightshift("jobs", "cancel", RUN).exit_code == 0
    assert json.loads(nightshift("jobs", "cancel", RUN, "--format", "json").stdout) == {"cancelled": True}

    api.on(f"POST /v1/jobs/{RUN}/rerun", {"job_run": run("pending")}, status=201)
    api.runs(run("completed"))
    assert nightshift("jobs", "rerun", RUN, "--from", "cursor", "--wait").exit_code == 0
    assert api.asked(f"POST /v1/jobs/{RUN}/rerun")[0][3] == {"from": "cursor"}

    slices = [
        {
            "slice": 0,
            "started_at": "2026-01-02T03:04:05.678Z",
            "ended_at": "2026-01-02T03:05:10.678Z",
            "outcome": "waiting",
            "reason": "rate limit",
            "wait_s": 40,
            "processed": 45,
        },
        {
            "slice": 1,
            "started_at": "2026-01-02T03:06:00.000Z",
            "ended_at": None,
            "outcome": None,
            "reason": None,
            "wait_s": None,
        },
    ]
    api.on(f"GET /v1/jobs/{RUN}/timeline", {"timeline": slices, "state": "running", "why": "running since 03:06"})
    lines = nightshift("jobs", "timeline", RUN).stdout.splitlines()
    row = ["0", "waiting", "45", "2026-01-02 03:04:05", "1 min 5 s", "40 s", "rate limit"]
    assert lines[1].split() == " ".join(row).split()
    assert lines[2].split()[:3] == ["1", "at", "work"]
    assert lines[-1] == "running since 03:06"


def test_a_mail_that_was_stopped_is_told(api: Script, nightshift: Nightshift) -> None:
    api.runs(run("completed"))
    api.on(
        f"GET /v1/jobs/{RUN}/timeline",
        {"timeline": [], "state": "ended", "why": "It is completed", "mail_stopped": "Mails are stopped"},
    )
    assert nightshift("jobs", "timeline", RUN).stdout.splitlines() == ["It is completed", "Mails are stopped"]
    assert re.search(r"^mail stopped +Mails are stopped$", nightshift("jobs", "view", RUN).stdout, re.MULTILINE)


def test_cancel_of_an_ended_run_is_refused(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST /v1/jobs/{RUN}/cancel", {"error": 'Cannot cancel a job with status "completed"'}, status=400)
    result = nightshift("jobs", "cancel", RUN)
    assert result.exit_code == 4
    assert 'Cannot cancel a job with status "completed"' in result.stderr


def test_whoami_projects_and_job_types(api: Script, nightshift: Nightshift) -> None:
    assert "jobs:read, jobs:write" in nightshift("whoami").stdout
    assert nightshift("projects").stdout.splitlines()[1].split() == ["acme", PROJECT, "Acme"]
    schema = {"properties": {"include_sandbox": {"type": "boolean"}}}
    kind = {"job_type": "revenuecat_sync", "label": "RevenueCat Sync", "description": "Syncs", "params": schema}
    api.on("GET /v1/job-types", {"job_types": [kind]})
    assert re.search(r"\ninclude_sandbox +boolean\n", nightshift("job-types").stdout)
    assert json.loads(nightshift("job-types", "--format", "json").stdout) == {"job_types": [kind]}


def test_a_user_of_several_teams_has_to_choose(api: Script, nightshift: Nightshift) -> None:
    teams = [{"id": TEAM, "slug": "day", "name": "D", "role": "admin"}, {"id": RUN, "slug": "night", "name": "N"}]
    api.on("GET /v1/auth/whoami", {"type": "user", "email": "a@example.com", "teams": teams})
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [], "cursor": None, "has_more": False})
    result = nightshift("jobs", "list")
    assert result.exit_code == 2
    assert "--team: day, night" in result.stderr
    assert nightshift("jobs", "list", env={"NIGHTSHIFT_TEAM": "day"}).exit_code == 0
    assert nightshift("--team", "dusk", "jobs", "list", "--team", "day").exit_code == 0
    result = nightshift("jobs", "list", "--team", "dusk")
    assert result.exit_code == 2
    assert "Unknown team 'dusk'. Available: day, night." in result.stderr
    assert "day (D, admin)" in nightshift("whoami").stdout


def test_one_of_several_projects_has_to_be_named(api: Script, nightshift: Nightshift) -> None:
    api.on("GET /v1/projects", {"projects": [ACME, ACME | {"id": RUN, "slug": "other"}]})
    result = nightshift("jobs", "trigger", "revenuecat_sync")
    assert result.exit_code == 2
    assert "--project: acme, other" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "view", "../teams"),
        ("jobs", "list", "--limit", "201"),
        ("jobs", "list", "--status", "done"),
        ("jobs", "trigger", "revenuecat_sync", "--param", "novalue"),
        ("jobs", "trigger", "revenuecat_sync", "--param", "a=1", "--param", "a=2"),
        ("jobs", "trigger", "revenuecat_sync", "--idempotency-key", "a\nb"),
        ("jobs", "rerun", RUN, "--from", "middle"),
    ],
)
def test_usage_errors(api: Script, nightshift: Nightshift, arguments: tuple[str, ...]) -> None:
    result = nightshift(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert api.requests == []


HOSTILE = "\x1b[31mred\x9b2J [bold]x[/bold] :smile: \u202etxt\ud800\x00"


def test_what_the_api_says_is_only_text(api: Script, nightshift: Nightshift) -> None:
    hostile = run("failed", error=HOSTILE, job_type=HOSTILE, progress={"processed": 1, "total": 2, "message": HOSTILE})
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [hostile], "cursor": HOSTILE, "has_more": True})
    api.runs(hostile)
    api.on(f"GET /v1/jobs/{RUN}/timeline", {"error": HOSTILE}, status=400)
    for arguments in (("list",), ("view", RUN), ("view", RUN, "--follow"), ("timeline", RUN)):
        output = nightshift("jobs", *arguments).output
        assert "[31mred2J [bold]x[/bold] :smile: txt" in output
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800]", output)
    document = nightshift("jobs", "view", RUN, "--format", "json").stdout
    assert json.loads(document) == hostile
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800]", document)


@given(st.text())
def test_clean_text_is_one_printable_line(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.splitlines() in ([], [cleaned])
    assert "\x1b" not in cleaned
    cleaned.encode()


def test_a_terminal_shows_a_bar(api: Script, on_terminal: Callable[..., tuple[int, str]]) -> None:
    api.runs(at(45, "Synced [38] users"), at(100, "half"), at(200, "Synced all", status="completed"))
    code, sent = on_terminal("jobs", "view", RUN, "--follow", columns=120)
    assert code == 0
    assert "━" in sent
    assert "100%" in plain(sent)
    assert "200/200" in plain(sent)
    assert sent.index("\x1b[?25l") < sent.index("\x1b[?25h"), "the cursor comes back"


def test_a_bar_forgets_trouble_that_is_over(api: Script, on_terminal: Callable[..., tuple[int, str]]) -> None:
    api.runs(at(1, "one"), (503, {"error": "Down"}), at(1, "one"), run("completed"))
    _, sent = on_terminal("jobs", "view", RUN, "--follow", columns=200)
    assert 0 < sent.rindex("Trying again") < sent.rindex("one")


def test_a_letter_the_terminal_lacks_ends_nothing(api: Script) -> None:
    api.runs(run("failed", error="Schlüssel 🔑"))
    for format in ("text", "json"):
        done = subprocess.run(
            command("jobs", "view", RUN, "--format", format),
            env=environment(api) | {"PYTHONIOENCODING": "ascii"},
            capture_output=True,
        )
        assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["error"] == "Schlüssel 🔑"


def test_ctrl_c_for_real(api: Script) -> None:
    api.runs(at(45))
    with started(
        command("jobs", "view", RUN, "--follow"),
        env=environment(api),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "running 45/200\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == f"Stopped watching; the run continues. To watch it: nightshift jobs view {RUN} --follow\n"


def stack(folder: Path, **changes: str) -> Path:
    (folder / ".local").mkdir()
    values = {"api_url": "http://127.0.0.1:4000/", "agent_key": "key", "team_id": TEAM, "project_id": PROJECT}
    (folder / ".local" / "stack.json").write_text(json.dumps(values | changes))
    return folder


def nobody(folder: Path) -> dict[str, str]:
    """Return an environment without a sign-in."""
    return {"XDG_CONFIG_HOME": str(folder / "config")}


def test_the_local_stack_is_found_from_below(tmp_path: Path) -> None:
    below = stack(tmp_path) / "a" / "b"
    below.mkdir(parents=True)
    config = find_config(flags={}, environ=nobody(tmp_path), folder=below)
    assert (config.api_url, config.token, config.team) == ("http://127.0.0.1:4000", "key", TEAM)
    assert config.project_id == PROJECT
    assert "'key'" not in repr(config)


def test_flags_come_before_the_environment_before_the_stack(tmp_path: Path) -> None:
    environ = {"NIGHTSHIFT_API_URL": "https://api.example.com", "NIGHTSHIFT_TOKEN": "env", "NIGHTSHIFT_TEAM": "night"}
    config = find_config(flags={"token": "flag"}, environ=environ, folder=stack(tmp_path))
    assert (config.api_url, config.token, config.team) == ("https://api.example.com", "flag", "night")
    assert config.project_id is None


def test_the_local_key_goes_to_the_local_stack_only(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No token for"):
        find_config(flags={"api_url": "https://api.example.com"}, environ=nobody(tmp_path), folder=stack(tmp_path))


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "set NIGHTSHIFT_API_URL"),
        ({"NIGHTSHIFT_API_URL": "http://127.0.0.1:1"}, "set NIGHTSHIFT_TOKEN"),
        ({"NIGHTSHIFT_API_URL": "127.0.0.1:1", "NIGHTSHIFT_TOKEN": "x"}, "must look like"),
        ({"NIGHTSHIFT_API_URL": "http://me:secret@host", "NIGHTSHIFT_TOKEN": "x"}, "without credentials"),
        ({"NIGHTSHIFT_API_URL": "https://host", "NIGHTSHIFT_TOKEN": "se\ncret"}, "Copy it again"),
        ({"NIGHTSHIFT_API_URL": "http://host", "NIGHTSHIFT_TOKEN": "x"}, "unencrypted"),
    ],
)
def test_a_missing_setting_is_named(tmp_path: Path, environ: dict[str, str], words: str) -> None:
    with pytest.raises(Misconfigured, match=words) as caught:
        find_config(flags={}, environ=environ | nobody(tmp_path), folder=tmp_path)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("--api-url", "", "whoami"), "--api-url"),
        (("whoami", "--token", ""), "--token"),
        (("jobs", "list", "--team", " "), "--team"),
        (("jobs", "list", "--project", ""), "--project"),
        (("jobs", "trigger", "revenuecat_sync", "--project", ""), "--project"),
    ],
)
def test_an_empty_option_does_not_mean_another_place(
    api: Script, nightshift: Nightshift, arguments: tuple[str, ...], option: str
) -> None:
    result = nightshift(*arguments)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}': must not be empty" in result.stderr
    assert not api.requests


def test_the_proxy_of_the_environment_is_asked_and_not_for_this_machine(
    api: Script, nightshift: Nightshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http", "https"):
        monkeypatch.setenv(f"{name}_proxy", api.url.replace("//", "//me:s%21cret@"))
    assert nightshift("whoami").exit_code == 0
    result = nightshift("ping", "--api-url", "https://jobs.example.com")
    assert (result.exit_code, result.stdout) == (5, "")
    [(_, _, headers, _)] = api.asked("CONNECT jobs.example.com:443")
    told = {name.lower(): value for name, value in headers.items()}
    assert told["proxy-authorization"] == "Basic " + b64encode(b"me:s!cret").decode()
    assert "authorization" not in told
    assert "Cannot reach https://jobs.example.com through the proxy from the environment" in result.stderr
    assert "cret" not in result.stderr


@pytest.mark.parametrize("proxy", ["socks5://p:1080", "http://me:s3cret@p:99999", "http://me:s3cret€@p:80"])
def test_a_proxy_that_is_none_is_a_setting_to_correct(
    api: Script, nightshift: Nightshift, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    result = nightshift("ping", "--api-url", "https://jobs.example.com")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: HTTPS_PROXY must be the http:// or https:// URL of a proxy.")
    assert "s3cret" not in result.stderr
    monkeypatch.setenv("https_proxy", api.url.removeprefix("http://"))
    nightshift("ping", "--api-url", "https://jobs.example.com:8443")
    assert len(api.asked("CONNECT jobs.example.com:8443")) == 1
    monkeypatch.setenv("no_proxy", "jobs.example.com:8443")
    nightshift("ping", "--api-url", "https://jobs.example.com:8443")
    assert len(api.asked("CONNECT jobs.example.com:8443")) == 1


def test_help_and_version(nightshift: Nightshift) -> None:
    assert re.fullmatch(r"nightshift, version \d+\.\d+\.\d+\n", nightshift("--version").stdout)
    assert "130  Ctrl-C" in nightshift("--help").stdout


@pytest.mark.parametrize("path", [(), ("jobs",), ("system",), ("new",)], ids=" ".join)
def test_a_list_of_commands_cuts_no_sentence(nightshift: Nightshift, path: tuple[str, ...]) -> None:
    listed = nightshift(*path, "--help").stdout.split("Commands:")[1]
    assert "..." not in listed


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    for name, each in group.commands.items():
        if isinstance(each, click.Group):
            yield from commands(each, *path, name)
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_explains_itself_and_those_of_the_api_take_the_common_options(
    nightshift: Nightshift, path: tuple[str, ...]
) -> None:
    text = nightshift(*path, "--help").stdout
    wanted = {"system": ("--stack", "--format"), "new": ("--format",), "completion": ()}
    for option in wanted.get(path[0], ("--api-url", "--token", "--team", "--format")):
        assert option in text
    assert text.splitlines()[2].strip()
