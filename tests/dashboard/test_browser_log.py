"""The log on a run's page: while the run goes on, by level, and with lines that must not be trusted."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser_world import PHONE, People, Visitor, barriers, heading, is_wider_than_the_window

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="alert(1)"> \u202e' + "long" * 200


def pictured(page: Page, name: str) -> None:
    """Keep a picture, if a folder for pictures is set."""
    if folder := os.environ.get("NIGHTSHIFT_PICTURES"):
        page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)


def test_the_log_of_a_run_that_goes_on(visitor: Callable[..., Visitor], people: People, stack_owner: Any) -> None:
    team = people.team("Logging")
    project = people.project(team, "Logs")
    [[run_id]] = stack_owner.run(
        "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, started_at, lease_expires_at,"
        " request_id, slice_started_at, slice, progress, last_step_at, logged_lines)"
        " VALUES (gen_random_uuid(), 'revenuecat_sync', 'running', :team, :project, 'schedule', now(),"
        ' now() + interval \'1 hour\', \'r\', now(), 2, \'{"processed": 7, "total": 10, "message": "Half"}\', now(),'
        " 1300) RETURNING id",
        team=team,
        project=project,
    )
    stack_owner.run(
        "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome) VALUES (:id, 1, 'r', now(), 'lost')",
        id=run_id,
    )

    def log(last: int, *lines: tuple[str, str, dict[str, Any]]) -> None:
        told = [
            {"at": "2026-01-02T03:04:05.678Z", "level": level, "message": message}
            | ({"fields": fields} if fields else {})
            for level, message, fields in lines
        ]
        stack_owner.run(
            "INSERT INTO job_run_logs (run_id, last_line, team_id, slice, bytes, lines)"
            " VALUES (:id, :last, :team, 2, 1, CAST(:lines AS json))",
            id=run_id,
            last=last,
            team=team,
            lines=json.dumps(told),
        )
        stack_owner.run("UPDATE job_runs SET logged_lines = :last WHERE id = :id", id=run_id, last=last)

    log(1295, *[("info", f"Line {n}", {"user": f"u{n}"}) for n in range(296, 1296)])
    log(1300, ("warning", HOSTILE, {HOSTILE: HOSTILE}), *[("debug", f"Detail {n}", {}) for n in range(4)])
    visit = visitor(color_scheme="dark")
    page = visit.open(f"runs/{run_id}", token=people.user((team, "admin")))
    shown = page.locator(".log > li")
    expect(shown).to_have_count(200)
    expect(shown.last).to_contain_text("Detail 3")
    expect(page.get_by_text("The worker of slice 1 was lost")).to_be_visible()
    # The newest line is in view.
    expect(shown.last).to_be_in_viewport()
    pictured(page, "log-dark")
    log(1301, ("error", "It broke", {"status": 503}))
    expect(shown.last).to_contain_text("It broke status=503")
    page.get_by_role("button", name="Show 799 earlier lines").click()
    expect(shown).to_have_count(1000)
    expect(page.get_by_text("301 earlier lines are no longer here")).to_be_visible()
    page.get_by_label("Lines shown").select_option("Warnings and errors")
    expect(shown).to_have_count(2)
    assert page.locator(".log img").count() == 0
    assert barriers(page) == []
    pictured(page, "log-dark-warnings")
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="light")
    assert not is_wider_than_the_window(page)
    pictured(page, "log-phone")
    page.set_viewport_size({"width": 1280, "height": 860})
    page.get_by_label("Lines shown").select_option("All lines")
    expect(heading(page, "Timeline")).to_be_visible()
    pictured(page, "log-light")
    stack_owner.run("DELETE FROM job_runs WHERE id = :id", id=run_id)
    assert stack_owner.run("SELECT count(*) FROM job_run_logs WHERE run_id = :id", id=run_id) == [[0]]
