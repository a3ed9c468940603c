"""The first visit of a team: the page leads from a provider's key to jobs that run by themselves."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from local.seed import REVENUECAT_KEY
from tests.support.browser_world import People, Visitor, assert_accessible, heading

pytestmark = pytest.mark.browser


@pytest.fixture
def new_team(people: People) -> str:
    team_id = people.team(f"New {people.owner.run('SELECT gen_random_uuid()')[0][0]}")
    people.project(team_id, "Acme", has_key=False)
    return team_id


@pytest.fixture
def opened(visitor: Callable[..., Visitor], people: People, new_team: str) -> Callable[..., Page]:
    """``opened(**options)``: the overview of a team without a key, as its admin."""
    return lambda **options: visitor(**options).open("", token=people.user((new_team, "admin")))


def steps(page: Page) -> Any:
    return page.get_by_role("list", name="First steps with RevenueCat").get_by_role("listitem")


def next_step(page: Page) -> Any:
    return page.locator(".steps [aria-current=step]")


def test_a_new_team_is_led_from_its_key_to_an_alert(opened: Callable[..., Page]) -> None:
    page = opened()
    expect(next_step(page)).to_contain_text("Store a key of RevenueCat")
    # Without a key, nothing else can be done.
    expect(page.locator(".steps li button")).to_have_count(1)
    assert_accessible(page)
    page.get_by_role("button", name="Add key").click()
    page.get_by_label("v2 secret key").fill(REVENUECAT_KEY)
    page.get_by_role("button", name="Store", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("the key reads customers")
    page.get_by_role("button", name="Done").click()

    for job in ("RevenueCat Backfill", "RevenueCat Sync"):
        expect(next_step(page)).to_contain_text(f"Run {job}")
        next_step(page).get_by_role("button", name="Run").click()
        dialog = page.get_by_role("dialog", name="Run job")
        expect(dialog.get_by_label("Type", exact=True).locator("option:checked")).to_have_text(job)
        dialog.get_by_role("button", name="Run", exact=True).click()
        expect(page).to_have_url(re.compile("/runs/"))
        expect(page.locator(".status")).to_have_text("Completed")
        page.get_by_role("link", name="Nightshift").click()

    expect(next_step(page)).to_contain_text("Let RevenueCat Sync run by itself")
    next_step(page).get_by_role("button", name="Make a schedule").click()
    dialog = page.get_by_role("dialog", name="New schedule")
    expect(dialog.get_by_label("Project").locator("option:checked")).to_have_text("Acme")
    dialog.get_by_role("button", name="Make schedule").click()
    expect(next_step(page)).to_contain_text("Hear of failures")
    next_step(page).get_by_role("button", name="Make an alert").click()
    page.get_by_role("dialog", name="New alert").get_by_role("button", name="Make alert").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(steps(page)).to_have_count(0)
    expect(heading(page, "Overview")).to_be_visible()


def test_a_key_that_was_switched_off_is_the_next_step(
    opened: Callable[..., Page], people: People, new_team: str
) -> None:
    people.owner.run(
        "INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)"
        """ SELECT id, 'revenuecat', '{"enabled": false}', 'x' FROM projects WHERE team_id = :team""",
        team=new_team,
    )
    page = opened()
    expect(next_step(page)).to_contain_text("The integration is disabled")
    next_step(page).get_by_role("link", name="Enable it").click()
    expect(heading(page, "Integrations")).to_be_visible()


def test_a_run_that_failed_is_shown_and_can_be_run_again(
    opened: Callable[..., Page], people: People, new_team: str
) -> None:
    project_id = people.project(new_team, "Broken")
    people.owner.run(
        "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, started_at, completed_at,"
        " error) VALUES (gen_random_uuid(), 'revenuecat_sync', 'failed', CAST(:team AS uuid), CAST(:project AS uuid),"
        " 'schedule', clock_timestamp(), clock_timestamp(), 'RevenueCat refuses the key')",
        team=new_team,
        project=project_id,
    )
    page = opened()
    page.locator(".steps").get_by_label("Project").select_option("Broken")
    failed = steps(page).filter(has_text="Run RevenueCat Sync")
    expect(failed).to_contain_text("It has failed: RevenueCat refuses the key")
    expect(failed.get_by_role("button", name="Run RevenueCat Sync")).to_be_visible()


def test_steps_that_are_hidden_stay_hidden(opened: Callable[..., Page]) -> None:
    page = opened()
    page.get_by_role("button", name="Hide").click()
    expect(steps(page)).to_have_count(0)
    page.reload()
    expect(page.get_by_text("Nothing has run yet")).to_be_visible()
    expect(page.get_by_role("button", name="Hide")).to_have_count(0)


def test_keys_and_teams_with_many_runs_are_not_led(
    visitor: Callable[..., Visitor], people: People, new_team: str
) -> None:
    page = visitor().open("", token=people.key(new_team, "jobs:read", "jobs:write"))
    expect(page.get_by_text("Nothing has run yet")).to_be_visible()
    expect(page.locator(".steps")).to_have_count(0)
    project_id = people.project(new_team, "Old")
    people.runs(new_team, project_id, 31)
    # The sweep counts endings in their order. It does not come back for runs that ended an hour before others.
    people.owner.run("UPDATE job_runs SET completed_at = clock_timestamp() WHERE team_id = :team", team=new_team)
    page = visitor().open("", token=people.user((new_team, "admin")))
    expect(page.locator(".jobs > li")).to_have_count(1)
    expect(page.locator(".steps")).to_have_count(0)
