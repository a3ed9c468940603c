"""nightshift schedules, and jobs trigger --at."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.cli_world import ADA, PROJECT, RUN, TEAM, Nightshift, Script

SCHEDULE, OTHER = (f"0298c0de-0000-7000-8000-{n:012d}" for n in (1, 2))
PATH = f"/v1/schedules/{SCHEDULE}"
SLOT = {"slot": "2026-11-27T02:00:00.000Z", "outcome": "skipped", "reason": "a run of this type is live", "run_id": RUN}


def schedule(**fields: Any) -> dict[str, Any]:
    return {
        "id": SCHEDULE,
        "team_id": TEAM,
        "project_id": PROJECT,
        "job_type": "revenuecat_sync",
        "name": "Nightly",
        "cron": "0 3 * * *",
        "run_at": None,
        "zone": "Europe/Berlin",
        "said": "At 03:00 every day",
        "params": {"mode": "full"},
        "notify": True,
        "created_by": f"manual:user:{ADA['id']}",
        "maker_has_left": False,
        "paused": None,
        "skipped": 2,
        "next": ["2026-11-28T02:00:00.000Z", "2026-11-29T02:00:00.000Z"],
        "last": SLOT,
    } | fields


def test_list_shows_the_next_and_the_last_time(api: Script, nightshift: Nightshift) -> None:
    paused = {"since": "2026-11-27T02:00:00.000Z", "by": "x", "why": "move"}
    once = schedule(id=OTHER, name="Once", cron=None, run_at="2026-11-27T02:00:00.000Z", next=[], last=None)
    held = schedule(name="Held", paused=paused, next=[])
    api.on(f"GET /v1/teams/{TEAM}/schedules", {"schedules": [schedule(), once, held]})
    result = nightshift("schedules", "list", "--type", "revenuecat_sync", "--project", "acme")
    [(_, query, _, _)] = api.asked(f"GET /v1/teams/{TEAM}/schedules")
    assert query == f"project_id={PROJECT}&job_type=revenuecat_sync"
    first, second, third = result.output.splitlines()[1:]
    assert first.split("  ")[0] == SCHEDULE
    assert "2026-11-28 02:00  2026-11-27 02:00  skipped" in first
    assert "no more" in second
    assert "paused" in third


def test_an_empty_list_says_how_to_make_one(api: Script, nightshift: Nightshift) -> None:
    api.on(f"GET /v1/teams/{TEAM}/schedules", {"schedules": []})
    assert nightshift("schedules", "list").output == "No schedules. Make one with `nightshift schedules create`.\n"


def test_view_shows_its_times_and_what_became_of_them(api: Script, nightshift: Nightshift) -> None:
    api.on(f"GET /v1/teams/{TEAM}/schedules", {"schedules": [schedule(), schedule(id=OTHER)]})
    api.on(f"GET {PATH}", {"schedule": schedule(maker_has_left=True)})
    api.on(f"GET {PATH}/slots", {"slots": [SLOT | {"status": "running"}]})
    # Both ids begin with the same digits, but not to their ends.
    result = nightshift("schedules", "view", SCHEDULE)
    assert "At 03:00 every day (Europe/Berlin), next at 2026-11-28 02:00 UTC" in result.output
    assert "ada@acme.example, who has left the team; it goes on" in result.output
    assert f"2026-11-27 02:00  skipped  {RUN}  running  a run of this type is live" in result.output
    assert "2026-11-29 02:00" in result.output


@pytest.mark.parametrize(
    ("beginning", "said"),
    [
        ("0298", f"Several schedule ids begin with 0298: {SCHEDULE}, {OTHER}. Give more characters."),
        ("abcd", "No schedule of this team has an id that begins with abcd. See `nightshift schedules list`."),
        ("029", "Schedule id 029 is too short. Give at least 4 characters."),
    ],
)
def test_a_shortened_id_must_identify_one(api: Script, nightshift: Nightshift, beginning: str, said: str) -> None:
    api.on(f"GET /v1/teams/{TEAM}/schedules", {"schedules": [schedule(), schedule(id=OTHER)]})
    result = nightshift("schedules", "resume", beginning)
    assert (result.exit_code, said in result.stderr) == (2, True)


def test_an_id_has_to_look_like_one(nightshift: Nightshift) -> None:
    result = nightshift("schedules", "resume", "../x")
    assert "'../x' is not a schedule id. See `nightshift schedules list`." in result.stderr


def test_create_sends_what_was_given(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST /v1/teams/{TEAM}/schedules", (201, {"schedule": schedule()}))
    result = nightshift(
        *("schedules", "create", "revenuecat_sync", "--cron", "0 3 * * *", "--zone", "Europe/Berlin"),
        *("--param", "mode=full", "--name", "Nightly", "--notify"),
    )
    assert api.requests[-1][3] == {
        "job_type": "revenuecat_sync",
        "project_id": PROJECT,
        "cron": "0 3 * * *",
        "zone": "Europe/Berlin",
        "params": {"mode": "full"},
        "name": "Nightly",
        "notify": True,
    }
    told = f"Schedule {SCHEDULE}: At 03:00 every day (Europe/Berlin), next at 2026-11-28 02:00 UTC\n"
    assert result.output == told


def test_a_request_that_makes_a_schedule_is_not_repeated(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST /v1/teams/{TEAM}/schedules", (503, {"error": "The database is busy"}))
    result = nightshift("schedules", "create", "revenuecat_sync", "--cron", "@daily")
    assert result.exit_code == 5
    assert len(api.asked(f"POST /v1/teams/{TEAM}/schedules")) == 1


@pytest.mark.parametrize(
    ("arguments", "method", "path", "body"),
    [
        (
            ("edit", SCHEDULE, "--cron", "0 4 * * *", "--no-notify"),
            "PATCH",
            PATH,
            {"cron": "0 4 * * *", "notify": False},
        ),
        (("edit", SCHEDULE, "--param", "mode=full"), "PATCH", PATH, {"params": {"mode": "full"}}),
        (("pause", SCHEDULE, "--why", "move"), "POST", f"{PATH}/pause", {"why": "move"}),
        (("resume", SCHEDULE), "POST", f"{PATH}/resume", None),
    ],
)
def test_changes_are_sent(
    api: Script, nightshift: Nightshift, arguments: tuple[str, ...], method: str, path: str, body: Any
) -> None:
    api.on(f"{method} {path}", {"schedule": schedule()})
    assert nightshift("schedules", *arguments).output.startswith(f"Schedule {SCHEDULE}: At 03:00")
    assert (api.requests[-1][0], api.requests[-1][3]) == (f"{method} {path}", body)


def test_an_edit_without_a_change_is_refused(api: Script, nightshift: Nightshift) -> None:
    result = nightshift("schedules", "edit", SCHEDULE)
    assert (result.exit_code, "Nothing to change: give at least one option." in result.stderr) == (2, True)
    assert api.requests == []


def test_delete_says_so(api: Script, nightshift: Nightshift) -> None:
    api.on(f"DELETE {PATH}", {"deleted": True})
    assert nightshift("schedules", "delete", SCHEDULE).output == f"Deleted schedule {SCHEDULE}.\n"


def test_a_trigger_may_start_later(api: Script, nightshift: Nightshift) -> None:
    later = schedule(cron=None, run_at="2026-12-24T03:00:00.000Z", said="Once", next=["2026-12-24T03:00:00.000Z"])
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", (201, {"schedule": later}))
    result = nightshift("jobs", "trigger", "revenuecat_sync", "--at", "2026-12-24T04:00:00+01:00")
    assert api.requests[-1][3]["run_at"] == "2026-12-24T03:00:00.000+00:00"
    assert result.output == f"Schedule {SCHEDULE}: Once, at 2026-12-24 03:00 UTC\n"


def test_a_wait_is_counted_from_now(api: Script, nightshift: Nightshift) -> None:
    api.on(f"POST /v1/teams/{TEAM}/jobs/trigger", (201, {"schedule": schedule()}))
    before = datetime.now(UTC)
    nightshift("jobs", "trigger", "revenuecat_sync", "--at", "2h")
    sent = datetime.fromisoformat(api.requests[-1][3]["run_at"])
    assert before <= sent - timedelta(hours=2) + timedelta(milliseconds=1) <= datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.parametrize("time", ["soon", "2", "9999999d", "2026-13-01"])
def test_a_time_must_be_readable(api: Script, nightshift: Nightshift, time: str) -> None:
    result = nightshift("jobs", "trigger", "revenuecat_sync", "--at", time)
    assert (result.exit_code, f"'{time}' is not a time: write" in result.stderr) == (2, True)


def test_a_later_start_cannot_be_waited_for(api: Script, nightshift: Nightshift) -> None:
    result = nightshift("jobs", "trigger", "revenuecat_sync", "--at", "2h", "--wait")
    assert "--wait cannot be used with --at" in result.stderr
