"""The alerts on a team's page: an admin makes, tests, changes and deletes one; and a stranger confirms an address."""

from collections.abc import Callable
from typing import Any

import pg8000.native
import pytest
from playwright.sync_api import Page, expect

from tests.support.browser_world import People, Visitor, assert_accessible

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(visitor: Callable[..., Visitor], people: People) -> Callable[..., Page]:
    """``opened(**options)``: the page of a team with two projects, as its admin."""
    team_id = people.team(f"Alerts {people.owner.run('SELECT gen_random_uuid()')[0][0]}")
    for name in ("Acme", "Birch"):
        people.project(team_id, name)
    return lambda **options: visitor(**options).open("team", token=people.user((team_id, "admin")))


def test_an_alert_from_its_first_day_to_its_last(opened: Callable[..., Page], here: dict[str, Any]) -> None:
    page = opened()
    section = page.get_by_role("region", name="Alerts")
    expect(section).to_contain_text("No alert yet.")
    section.get_by_role("button", name="New alert").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Webhook").check()
    dialog.get_by_label("Address").fill("https://127.0.0.1/")
    dialog.get_by_label("A run succeeds after a failure").check()
    dialog.get_by_label("All projects").uncheck()
    dialog.get_by_label("Birch").check()
    dialog.get_by_label("Name").fill("Nightly")
    assert_accessible(page)
    dialog.get_by_role("button", name="Make alert").click()
    expect(dialog.get_by_role("alert")).to_contain_text("not a number of an address")
    expect(dialog.get_by_label("Address")).to_be_focused()
    dialog.get_by_label("Address").fill(f"{here['alert_sink_url']}/looks")
    dialog.get_by_role("button", name="Make alert").click()
    secret = page.get_by_role("dialog", name="The secret of this webhook")
    expect(secret).to_contain_text("whsec_")
    assert_accessible(page)
    secret.get_by_role("button", name="Done").click()
    alert = section.locator(".provider")
    expect(alert).to_contain_text("Nightly")
    expect(alert).to_contain_text("A run fails; A run succeeds after a failure")
    expect(alert).to_contain_text("in Birch.")
    assert "whsec_" not in page.content()

    alert.get_by_role("button", name="Send a test").click()
    deliveries = page.get_by_role("dialog", name="Deliveries")
    expect(deliveries).to_contain_text("Sent, answered with 200")
    assert_accessible(page)
    deliveries.get_by_role("button", name="Close").last.click()
    alert.get_by_role("button", name="Edit").click()
    dialog.get_by_label("Name").fill("Weekly")
    dialog.get_by_label("All projects").check()
    dialog.get_by_role("button", name="Save").click()
    expect(alert).to_contain_text("Weekly")
    expect(alert).to_contain_text("in all projects.")
    alert.get_by_role("button", name="Pause").click()
    expect(alert).to_contain_text("Paused by You")
    assert_accessible(page)
    alert.get_by_role("button", name="Resume").click()
    alert.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete alert").click()
    expect(section).to_contain_text("No alert yet.")


def test_a_stranger_confirms_an_address_with_a_click(
    visitor: Callable[..., Visitor], people: People, stack_owner: pg8000.native.Connection
) -> None:
    team_id = people.team("Confirming")
    stack_owner.run(
        "INSERT INTO job_alert_addresses (team_id, address, token_hash, asked_at)"
        " VALUES (CAST(:team_id AS uuid), 'ops@else.example', sha256('a-token'), now())",
        team_id=team_id,
    )
    page = visitor().open("confirm#a-token")
    expect(page.get_by_role("heading", name="Do you want these alerts?")).to_be_visible()
    assert_accessible(page)
    stored = "SELECT confirmed_at IS NOT NULL FROM job_alert_addresses WHERE team_id = CAST(:team_id AS uuid)"
    assert stack_owner.run(stored, team_id=team_id) == [[False]]
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("status")).to_have_text(
        "Alerts of the team Confirming are sent to ops@else.example from now on."
    )
    assert stack_owner.run(stored, team_id=team_id) == [[True]]
    again = visitor().open("confirm#a-token")
    again.get_by_role("button", name="Confirm").click()
    expect(again.get_by_role("alert")).to_contain_text("This link is not valid")
