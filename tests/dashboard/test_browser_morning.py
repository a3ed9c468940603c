"""A team admin's first morning, without the operator: from the code to the alert that the sync works again."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from playwright.sync_api import Page, expect

from local.seed import REVENUECAT_KEY
from local.stack import Stack
from tests.support.browser_world import People, Visitor, ask_for_code, enter_code, run_id_of
from tests.support.stack_world import end_wait, until

pytestmark = pytest.mark.browser

NEW_YORK = {"timezone_id": "America/New_York"}


def test_a_team_helps_itself(
    visitor: Callable[..., Visitor],
    people: People,
    admin_of: Callable[..., str],
    codes_to: Callable[[str], list[str]],
    stack: Stack,
    here: dict[str, Any],
) -> None:
    team_id = people.team("Early Owls")
    people.project(team_id, "Acme", has_key=False)
    email = admin_of(team_id)
    page = visitor(**NEW_YORK).open("")

    # Sign in.
    ask_for_code(page, email)
    [code] = until(lambda: codes_to(email))
    enter_code(page, code)

    # The first steps.
    step(page, "Store a key of RevenueCat", "Add key")
    page.get_by_label("v2 secret key").fill(REVENUECAT_KEY)
    page.get_by_role("button", name="Store", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("the key reads customers, subscriptions, purchases, products")
    page.get_by_role("button", name="Done").click()
    for job in ("RevenueCat Backfill", "RevenueCat Sync"):
        step(page, f"Run {job}", f"Run {job}")
        page.get_by_role("dialog").get_by_role("button", name="Run", exact=True).click()
        assert outcome(page) == "Completed"
    step(page, "Let RevenueCat Sync run by itself", "Make a schedule")
    dialog = page.get_by_role("dialog", name="New schedule")
    expect(dialog.get_by_label("Time zone")).to_have_value("America/New_York")
    expect(dialog.locator("#cron-preview")).to_contain_text("At 03:00 every day")
    dialog.get_by_role("button", name="Make schedule").click()
    step(page, "Hear of failures", "Make an alert")
    dialog = page.get_by_role("dialog", name="New alert")
    dialog.get_by_label("Webhook").check()
    dialog.get_by_label("Address").fill(f"{here['alert_sink_url']}/morning")
    dialog.get_by_label("A run fails after a success").check()
    dialog.get_by_label("A run succeeds after a failure").check()
    dialog.get_by_label("A run fails", exact=True).uncheck()
    dialog.get_by_label("Minutes between two messages").fill("0")
    dialog.get_by_role("button", name="Make alert").click()
    expect(page.get_by_role("dialog", name="The secret of this webhook")).to_contain_text("whsec_")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("region", name="First steps")).to_have_count(0)

    # The key breaks: the webhook hears of it once. The key is mended: the webhook hears of that.
    change_key(page, "sk_broken", "RevenueCat refuses the key")
    for _ in range(2):
        assert run_sync(page, before_its_end=lambda run_id: end_wait(stack, people.owner, run_id)) == "Failed"
        stack.invoke("SweepFunction", {})
    until(lambda: received(here))
    change_key(page, REVENUECAT_KEY, "the key reads customers")
    assert run_sync(page) == "Completed"
    stack.invoke("SweepFunction", {})
    until(lambda: len(received(here)) == 2)
    assert [each["type"] for each in received(here)] == ["run.failed", "run.recovered"]

    # What the team did, without the operator.
    page.get_by_role("link", name="Team", exact=True).click()
    changes = page.get_by_role("region", name="Changes").get_by_role("row")
    expect(changes.filter(has_text="You")).to_have_count(5)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("E-mail address")).to_be_visible()


def step(page: Page, name: str, button: str) -> None:
    """Take the next step of the first steps, which has this name."""
    following = page.locator(".steps [aria-current=step]")
    expect(following).to_contain_text(name)
    following.get_by_role("button", name=button).click()


def outcome(page: Page, before_its_end: Callable[[str], None] = lambda run_id: None) -> str:
    """Return the status in which the run that the page shows has ended, and go back to the list."""
    before_its_end(run_id_of(page))
    status = page.locator(".status")
    expect(status).to_have_text(re.compile("Completed|Failed|Cancelled"))
    ended = status.inner_text()
    page.get_by_role("link", name="Nightshift").click()
    return ended


def run_sync(page: Page, **options: Any) -> str:
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("button", name="Run job").click()
    dialog = page.get_by_role("dialog", name="Run job")
    dialog.get_by_label("Type", exact=True).select_option("revenuecat_sync")
    dialog.get_by_role("button", name="Run", exact=True).click()
    return outcome(page, **options)


def change_key(page: Page, key: str, report: str) -> None:
    page.get_by_role("link", name="Team", exact=True).click()
    page.get_by_role("region", name="Integrations").get_by_role("button", name="Change").click()
    page.get_by_label("v2 secret key").fill(key)
    page.get_by_role("button", name="Store", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text(report)
    page.get_by_role("button", name="Done").click()


def received(here: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bodies of the messages that came to this test's webhook, the oldest first."""
    found = urllib3.request("GET", f"{here['alert_sink_url']}.json").json()
    return [json.loads(each["body"]) for each in reversed(found) if each["path"] == "alerts/morning"]
