"""nightshift jobs cancel and rerun of all runs that match, jobs bulk, and the filters of jobs list."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.support.cli_world import ADA, PROJECT, RUN, TEAM, Nightshift, Script, run

MANY = f"/v1/teams/{TEAM}/bulk-actions"
ACTION = "0198c0de-0000-7000-8000-00000000000a"
FIGURES = dict.fromkeys(("to_do", "started", "cancelled", "asked_to_stop", "superseded", "skipped"), 0)
PAUSED = "revenuecat_sync is paused by ada: a move"


def action(state: str = "preview", *, kind: str = "rerun", reasons: Any = (), **figures: int) -> dict[str, Any]:
    return {
        "id": ACTION,
        "action": kind,
        "from": "start",
        "state": state,
        "asked": {},
        "made_by": f"manual:user:{ADA['id']}",
        "made_at": "2026-11-27T02:00:00.000Z",
        "confirmed_by": None,
        "confirmed_at": None,
        "ended_at": None,
        "figures": {"runs": 1000, "projects": 40, **FIGURES, **figures},
        "reasons": [{"reason": reason, "runs": runs} for reason, runs in reasons],
    }


@pytest.fixture
def outage(api: Script) -> Script:
    """A thousand failed runs in forty projects, of which the sweep runs some again a minute later."""
    api.on(f"POST {MANY}", {"bulk_action": action(to_do=40, superseded=960), "searched": None}, status=201)
    api.on(f"POST {MANY}/{ACTION}/confirm", {"bulk_action": action("working", to_do=20, started=20, superseded=960)})
    ended = action("ended", started=39, superseded=960, skipped=1, reasons=[(PAUSED, 1)])
    api.on(f"GET {MANY}/{ACTION}", {"bulk_action": ended})
    return api


def test_one_command_runs_an_outage_again_and_says_the_figures(outage: Script, nightshift: Nightshift) -> None:
    result = nightshift("jobs", "rerun", "--status", "failed", "--since", "1d", "--type", "revenuecat_sync", "--yes")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "1,000 runs match, in 40 projects.",
        "40 will be run again.",
        "960 are superseded: of each project and type, only the newest run is run again.",
        "39 run again.",
        "960 superseded by a newer run of their project and type.",
        f"1 left out: {PAUSED}.",
    ]
    assert result.stderr == "20 to do. The sweep goes on with them once a minute.\n"
    [(_, _, _, sent)] = outage.asked(f"POST {MANY}")
    match = {"job_type": "revenuecat_sync", "status": "failed", "since": "1d"}
    assert sent == {"action": "rerun", "from": "start", "match": match}


def test_without_yes_and_a_terminal_nothing_is_done(outage: Script, nightshift: Nightshift, tmp_path: Path) -> None:
    items = [
        {"run_id": RUN, "project_id": PROJECT, "job_type": "=1+1", "outcome": None, "reason": 'a "b", c'},
        {"run_id": ACTION, "project_id": PROJECT, "job_type": "x", "outcome": "superseded"},
    ]
    outage.on(f"GET {MANY}/{ACTION}/items", {"items": items, "cursor": None, "has_more": False})
    table, document = tmp_path / "runs.csv", tmp_path / "runs.json"
    result = nightshift("jobs", "rerun", "--status", "failed", "--save", str(table))
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (2, "Nothing was done. Give --yes to do it.")
    assert outage.asked(f"POST {MANY}/{ACTION}/confirm") == []
    assert table.read_text().splitlines() == [
        "run_id,project_id,job_type,run_created_at,outcome,reason,new_run_id",
        f'{RUN},{PROJECT},\'=1+1,,,"a ""b"", c",',
        f"{ACTION},{PROJECT},x,,superseded,,",
    ]
    result = nightshift("jobs", "bulk", "view", ACTION, "--save", str(document), "--format", "json")
    assert [each["run_id"] for each in json.loads(document.read_text())] == [RUN, ACTION]
    assert json.loads(result.stdout)["bulk_action"]["state"] == "ended"


def test_a_cancel_of_many_says_what_it_did(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST {MANY}", {"bulk_action": action(kind="cancel", runs=1, projects=1, to_do=1), "searched": None})
    done = action("ended", kind="cancel", asked_to_stop=1)
    api.on(f"POST {MANY}/{ACTION}/confirm", {"bulk_action": done})
    result = nightshift("jobs", "cancel", "--status", "running", "--status", "pending", "--yes")
    assert result.stdout.splitlines() == [
        "1 run matches, in 1 project.",
        "1 will be cancelled.",
        "1 asked to stop: their workers stop at their next step.",
    ]
    [(_, _, _, sent)] = api.asked(f"POST {MANY}")
    assert sent["match"] == {"status": "running,pending"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("rerun",), "Give a RUN_ID, or choose runs with --status, --since, --type or another filter."),
        (("cancel", "--yes"), "Give a RUN_ID, or choose runs with --status, --since, --type or another filter."),
        (("cancel", RUN, "--status", "failed"), "Filters, --yes and --save are for many runs: leave out the RUN_ID."),
        (
            ("rerun", "--status", "failed", "--param", "a=1"),
            "--param, --wait and --idempotency-key are for one run: give its RUN_ID.",
        ),
    ],
)
def test_a_command_is_about_one_run_or_about_many(
    api: Script, nightshift: Nightshift, arguments: tuple[str, ...], sentence: str
) -> None:
    result = nightshift("jobs", *arguments)
    assert (result.exit_code, sentence in result.output, api.asked(f"POST {MANY}")) == (2, True, [])


def test_where_nothing_matches_nothing_is_asked(api: Script, nightshift: Nightshift) -> None:
    api.on(
        f"POST {MANY}", {"bulk_action": action() | {"figures": FIGURES | {"runs": 0, "projects": 0}}, "searched": None}
    )
    result = nightshift("jobs", "rerun", "--status", "failed")
    assert (result.exit_code, result.output) == (0, "No run matches.\n")


def test_bulk_actions_are_listed_and_stopped(api: Script, nightshift: Nightshift) -> None:
    api.on(f"GET {MANY}", {"bulk_actions": [action("working", to_do=20, started=20, superseded=960)]})
    _, line = nightshift("jobs", "bulk", "list").output.splitlines()
    assert line.split()[:7] == [ACTION, "rerun", "working", "1000", "20", "960", "20"]
    stopped = action("ended", started=20, skipped=20, reasons=[("the action was stopped", 20)])
    api.on(f"POST {MANY}/{ACTION}/stop", {"bulk_action": stopped})
    assert "20 left out: the action was stopped." in nightshift("jobs", "bulk", "stop", ACTION[:-1] + "a").output
    api.on(f"GET {MANY}", {"bulk_actions": []})
    assert nightshift("jobs", "bulk", "list").output == "No bulk action.\n"


@pytest.fixture
def berlin(api: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_times_are_local_and_in_utc_with_an_option(api: Script, nightshift: Nightshift, berlin: None) -> None:
    api.runs(run("completed", completed_at="2026-01-02T03:05:00.000Z"))
    api.on(f"GET /v1/jobs/{RUN}/timeline", {"timeline": [], "state": "ended", "why": "", "slices_left_out": 0})
    api.on(f"GET {MANY}", {"bulk_actions": [action("ended") | {"confirmed_at": "2026-07-01T12:00:00.000Z"}]})
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [], "has_more": False})
    assert "2026-01-02 04:05:00 CET (" in nightshift("jobs", "view", RUN).output
    assert "2026-01-02T03:05:00.000Z (" in nightshift("jobs", "view", RUN, "--utc").output
    heading, line = nightshift("jobs", "bulk", "list").output.splitlines()
    assert (heading.endswith("CONFIRMED (local)"), line.endswith("2026-07-01 14:00")) == (True, True)
    heading, line = nightshift("--utc", "jobs", "bulk", "list").output.splitlines()
    assert (heading.endswith("CONFIRMED (UTC)"), line.endswith("2026-07-01 12:00")) == (True, True)
    nightshift("jobs", "list", "--since", "2026-01-02 04:05")
    nightshift("jobs", "list", "--since", "2026-01-02 04:05", "--utc")
    sent = [dict(parse_qsl(query))["since"] for _, query, _, _ in api.asked(f"GET /v1/teams/{TEAM}/jobs")]
    assert sent == ["2026-01-02T03:05:00.000+00:00", "2026-01-02T04:05:00.000+00:00"]
    # JSON is for programs.
    assert "2026-01-02T03:05:00.000Z" in nightshift("jobs", "view", RUN, "--format", "json").output


def test_a_misspelt_job_type_is_told(api: Script, nightshift: Nightshift) -> None:
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [], "has_more": False})
    result = nightshift("jobs", "list", "--type", "revenuecat_snyc")
    assert result.stderr == "This release has no job type 'revenuecat_snyc'. Did you mean revenuecat_sync?\n"
    assert nightshift("jobs", "lst").output.count("Did you mean") == 1


def test_a_rerun_with_a_parameter_keeps_the_others_that_the_type_knows(api: Script, nightshift: Nightshift) -> None:
    api.runs(run("failed", params={"project_id": PROJECT, "mode": "all", "pages": 3}))
    schema = {"properties": {"mode": {}, "include_sandbox": {}}}
    api.on("GET /v1/job-types", {"job_types": [{"job_type": "revenuecat_sync", "params": schema}]})
    api.on(f"POST /v1/jobs/{RUN}/rerun", {"job_run": run("pending")}, status=201)
    result = nightshift("jobs", "rerun", RUN, "--param", "include_sandbox=true")
    assert result.stderr == "Left out, because the job type no longer knows it: pages.\n"
    [(_, _, _, sent)] = api.asked(f"POST /v1/jobs/{RUN}/rerun")
    assert sent == {"from": "start", "params": {"project_id": PROJECT, "mode": "all", "include_sandbox": True}}


def test_the_list_takes_who_error_and_parameters(api: Script, nightshift: Nightshift) -> None:
    searched = {"runs": 10000, "back_to": "2026-11-01T00:00:00.000Z"}
    page = {"job_runs": [], "cursor": "c", "has_more": True, "searched": searched}
    api.on(f"GET /v1/teams/{TEAM}/jobs", page)
    result = nightshift(
        *("jobs", "list", "--by", "ADA@acme.example", "--error", "50%", "--with-param", "mode=all"),
        *("--status", "failed", "--status", "cancelled", "--since", "2026-11-01T02:00+02:00"),
    )
    assert "None of these runs matches." in result.output
    assert (
        "Looked at the newest 10,000 runs that match the other filters, back to 2026-11-01T00:00:00.000Z."
        in result.output
    )
    assert "--cursor c" in result.output
    [(_, query, _, _)] = api.asked(f"GET /v1/teams/{TEAM}/jobs")
    assert dict(parse_qsl(query)) == {
        "triggered_by": f"manual:user:{ADA['id']}",
        "error": "50%",
        "params": "mode=all",
        "status": "failed,cancelled",
        "since": "2026-11-01T00:00:00.000+00:00",
        "limit": "50",
    }
    result = nightshift("jobs", "list", "--by", "ida")
    assert (result.exit_code, result.output) == (
        2,
        "Error: This team has no member or key 'ida'. Known: me, schedule, ada@acme.example.\n",
    )
