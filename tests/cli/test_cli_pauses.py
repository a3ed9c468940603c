"""nightshift jobs pause, resume and pauses."""

from typing import Any

from tests.support.cli_world import ADA, PROJECT, TEAM, Nightshift, Script

PATH = f"/v1/projects/{PROJECT}/pauses"
SYNC = f"{PATH}/revenuecat_sync"


def pause(**fields: Any) -> dict[str, Any]:
    return {
        "job_type": "revenuecat_sync",
        "what": "project",
        "since": "2026-11-27T02:00:00.000Z",
        "by": f"manual:user:{ADA['id']}",
        "why": "The provider moves",
        "until": None,
    } | fields


def test_pause_sends_the_reason_and_the_end(api: Script, nightshift: Nightshift) -> None:
    api.on(f"PUT {SYNC}", {"pause": pause(until="2026-11-28T02:00:00.000Z")})
    result = nightshift(
        *("jobs", "pause", "revenuecat_sync", "--why", "The provider moves", "--until", "2026-11-28T02:00:00Z")
    )
    assert result.output == "Paused revenuecat_sync for the project, until 2026-11-28 02:00 UTC.\n"
    [(_, _, _, sent)] = api.asked(f"PUT {SYNC}")
    assert sent["why"] == "The provider moves"
    assert sent["until"].startswith("2026-11-28T02:00:00")


def test_a_pause_without_an_end_says_so(api: Script, nightshift: Nightshift) -> None:
    api.on(f"PUT {SYNC}", {"pause": pause()})
    result = nightshift("jobs", "pause", "revenuecat_sync", "--why", "x", "--project", "acme")
    assert result.output == "Paused revenuecat_sync for the project, until it is resumed.\n"
    [(_, _, _, sent)] = api.asked(f"PUT {SYNC}")
    assert sent == {"why": "x"}


def test_resume(api: Script, nightshift: Nightshift) -> None:
    api.on(f"DELETE {SYNC}", {"deleted": True})
    assert nightshift("jobs", "resume", "revenuecat_sync").output == "Resumed revenuecat_sync for the project.\n"


def test_pauses_names_the_team_and_the_operator(api: Script, nightshift: Nightshift) -> None:
    api.on(f"GET {PATH}", {"pauses": [pause(what="type", by="ada", why="disk"), pause()]})
    api.on(f"GET /v1/teams/{TEAM}/members", {"members": [ADA], "api_keys": []})
    _, first, second = nightshift("jobs", "pauses").output.splitlines()
    assert "the operator (ada)" in first
    assert str(ADA["email"]) in second


def test_no_pause(api: Script, nightshift: Nightshift) -> None:
    api.on(f"GET {PATH}", {"pauses": []})
    assert nightshift("jobs", "pauses").output == "No job of this project is paused.\n"
