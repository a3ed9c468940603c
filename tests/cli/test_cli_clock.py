"""Relative times use the server's clock, because a laptop's clock may be wrong by minutes or years."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from nightshift_cli.remote.clock import Clock
from tests.support.cli_world import RUN, TEAM, Nightshift, Script, run

# Twelve minutes after the run of the script was created.
DATE = "Fri, 02 Jan 2026 03:16:10 GMT"


@pytest.fixture
def slow(api: Script) -> Script:
    """Set a server clock that differs much from this machine's, with a running run."""
    api.date = DATE
    at_work = run(status="running", started_at="2026-01-02T03:06:10.000Z", completed_at=None)
    api.runs(at_work)
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [at_work], "cursor": None, "has_more": False})
    slices = [{"slice": 0, "outcome": None, "started_at": "2026-01-02T03:06:10.000Z", "ended_at": None}]
    api.on(f"GET /v1/jobs/{RUN}/timeline", {"timeline": slices, "state": "running", "why": "It runs", "since": None})
    return api


def test_a_list_tells_ages_by_the_servers_clock(nightshift: Nightshift, slow: Script) -> None:
    assert re.search(r" 12 min +10 min ", nightshift("jobs", "list").stdout)


def test_a_run_was_made_minutes_ago_and_not_in_so_many(nightshift: Nightshift, slow: Script) -> None:
    said = nightshift("jobs", "view", RUN).stdout
    assert "2026-01-02T03:04:05.678Z (12 min ago)" in said
    assert re.search(r"^took +10 min$", said, re.MULTILINE)


def test_a_slice_at_work_takes_as_long_as_the_server_says(nightshift: Nightshift, slow: Script) -> None:
    assert re.search(r"at work .*2026-01-02 03:06:10 +10 min", nightshift("jobs", "timeline", RUN).stdout)


@pytest.mark.parametrize("ahead_s", [-86_400 * 365 * 20, -600, 600, 86_400 * 365 * 100])
def test_a_clock_that_is_off_is_put_right(ahead_s: int) -> None:
    clock, there = Clock(), datetime.now(UTC) + timedelta(seconds=ahead_s)
    clock.hear(there.strftime("%a, %d %b %Y %H:%M:%S GMT"))
    assert abs(clock.now() - there) < timedelta(seconds=60)


@pytest.mark.parametrize(
    "date", [None, "", "soon", "Fri, 32 Jan 2026 03:16:10 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "9"]
)
def test_what_is_no_date_changes_nothing(date: str | None) -> None:
    clock = Clock()
    clock.hear(date)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=60)


def test_seconds_that_an_answer_takes_are_no_difference() -> None:
    clock = Clock()
    clock.hear(datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"))
    assert clock.now() <= datetime.now(UTC)
