"""The page of a team: an admin stores, tests, changes and removes a provider's key, and sees who changed what."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from local.seed import REVENUECAT_KEY, REVENUECAT_PROJECT_ID
from tests.support.browser_world import (
    PHONE,
    People,
    Visitor,
    assert_accessible,
    barriers,
    is_wider_than_the_window,
)

pytestmark = pytest.mark.browser


@pytest.fixture
def team(people: People) -> str:
    team_id = people.team(f"Keys {people.owner.run('SELECT gen_random_uuid()')[0][0]}")
    people.project(team_id, "Acme", has_key=False)
    return team_id


@pytest.fixture
def opened(visitor: Callable[..., Visitor], people: People, team: str) -> Callable[..., Page]:
    """``opened(**options)``: the page of a team without a key, as its admin."""
    return lambda role="admin", **options: visitor(**options).open("team", token=people.user((team, role)))


def dialog(page: Page, button: str, key: str | None = None) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    if key is not None:
        page.get_by_label("v2 secret key").fill(key)
        page.get_by_role("button", name="Store", exact=True).click()


def test_a_key_from_its_first_day_to_its_last(opened: Callable[..., Page]) -> None:
    page = opened()
    expect(page.get_by_text("No key is stored")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Add key").click()
    field = page.get_by_label("v2 secret key")
    expect(field).to_have_attribute("type", "password")
    assert_accessible(page)
    field.fill(REVENUECAT_KEY)
    page.get_by_role("button", name="Store", exact=True).click()
    told = page.get_by_role("dialog")
    expect(told).to_contain_text("the key reads customers, subscriptions, purchases, products, entitlements.")
    assert_accessible(page)
    page.get_by_role("button", name="Done").click()
    expect(page.locator(".provider")).to_contain_text("Enabled")
    assert REVENUECAT_KEY not in page.content()

    page.get_by_role("button", name="Disable").click()
    expect(page.locator(".provider")).to_contain_text("Disabled")
    page.get_by_role("button", name="Enable", exact=True).click()
    expect(page.locator(".provider")).to_contain_text("Enabled")
    dialog(page, "Change")
    page.get_by_label("RevenueCat project id").fill(REVENUECAT_PROJECT_ID)
    page.get_by_role("button", name="Store", exact=True).click()
    expect(page.locator(".provider")).to_contain_text(f"project_id: {REVENUECAT_PROJECT_ID}")
    dialog(page, "Remove")
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No key is stored")).to_be_visible()
    changes = page.get_by_role("region", name="Changes").get_by_role("row")
    expect(changes).to_have_count(6)
    expect(changes.nth(1)).to_contain_text("You")
    expect(changes.nth(1)).to_contain_text("Integration removed")
    expect(changes.nth(5)).to_contain_text("Integration added")
    assert_accessible(page)


def test_what_is_wrong_is_said_beside_its_field(opened: Callable[..., Page]) -> None:
    page = opened()
    dialog(page, "Add key", "sk with spaces")
    field = page.get_by_label("v2 secret key")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("config.api_key must be 1 to 500 visible ASCII"))
    field.fill("sk_of_another")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="Store", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("RevenueCat refuses the key: Invalid API key.")


def test_a_stored_key_is_tested_by_a_run(opened: Callable[..., Page]) -> None:
    page = opened()
    dialog(page, "Add key", REVENUECAT_KEY)
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page).to_have_url(re.compile("/runs/"))
    expect(page.get_by_text("the key reads customers")).to_be_visible()


def test_the_page_is_for_admins(opened: Callable[..., Page]) -> None:
    page = opened("member")
    expect(page.get_by_role("heading", name="This is for the team's admins")).to_be_visible()


def test_the_list_leads_to_the_page_and_back(opened: Callable[..., Page]) -> None:
    page = opened()
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.get_by_role("link", name="Team").click()
    expect(page.get_by_role("heading", name="Integrations")).to_be_visible()


def test_an_agent_key_is_made_shown_once_rotated_and_ended(opened: Callable[..., Page]) -> None:
    page = opened()
    keys = page.get_by_role("region", name="Agent keys")
    expect(keys).to_contain_text("No agent keys yet.")
    keys.get_by_role("button", name="Make a key").click()
    assert_accessible(page)
    page.get_by_label("Name").fill("CI")
    page.get_by_label("See who changed what").check()
    page.get_by_label("Expires").select_option("In 30 days")
    page.get_by_role("button", name="Make", exact=True).click()
    shown = page.get_by_label("Key of CI")
    expect(shown).to_have_value(re.compile("^owl_agent_.{43}$"))
    assert_accessible(page)
    secret = shown.input_value()
    page.get_by_role("button", name="Done").click()
    expect(keys).to_contain_text("jobs:read, jobs:write, audit:read")
    expect(keys).to_contain_text("by You")
    assert secret not in page.content()
    assert_accessible(page)

    keys.get_by_role("button", name="Rotate CI").click()
    page.get_by_label("The old key ends").select_option("In a day")
    page.get_by_role("button", name="Rotate", exact=True).click()
    expect(page.get_by_label("Key of CI")).not_to_have_value(secret)
    page.get_by_role("button", name="Done").click()
    expect(keys.get_by_text("Replaced.")).to_be_visible()
    ends = keys.get_by_role("button", name="End CI")
    expect(ends).to_have_count(2)
    ends.first.click()
    page.get_by_role("button", name="End the key").click()
    expect(ends).to_have_count(1)
    changes = page.get_by_role("region", name="Changes").get_by_role("row")
    expect(changes.nth(1)).to_contain_text("Agent key ended")


def test_a_job_is_paused_and_resumed_on_a_phone(opened: Callable[..., Page], people: People, team: str) -> None:
    project_id = people.project(team, "Beta")
    page = opened(viewport=PHONE, has_touch=True)
    paused = page.get_by_role("region", name="Paused jobs")
    paused.get_by_label("Project").select_option("Beta")
    expect(paused).to_contain_text("No job of this project is paused.")
    paused.get_by_role("button", name="Pause a job").tap()
    assert barriers(page) == []
    page.get_by_label("Type").select_option("RevenueCat Sync")
    page.get_by_label("Reason").fill("The provider moves")
    page.get_by_label("Until").fill("2020-01-01T03:00")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("until must be in the future")
    page.get_by_label("Until").fill("")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(paused).to_contain_text("by You: The provider moves")
    assert not is_wider_than_the_window(page)
    changes = page.get_by_role("region", name="Changes").get_by_role("row")
    expect(changes.nth(1)).to_contain_text("Job type paused")
    assert people.owner.run(f"SELECT count(*) FROM job_project_pauses WHERE project_id = '{project_id}'") == [[1]]
    paused.get_by_role("button", name="Resume RevenueCat Sync").click()
    expect(paused).to_contain_text("No job of this project is paused.")
    expect(changes.nth(1)).to_contain_text("Job type resumed")
