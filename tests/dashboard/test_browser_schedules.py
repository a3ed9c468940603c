"""A team's schedules in the dashboard: made, read, changed, paused and deleted by an admin."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from local.run import call
from local.stack import Stack
from tests.support.browser_world import Open, assert_accessible, heading, look_again
from tests.support.stack_world import ended, until

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def none(here: dict[str, Any], quiet: None) -> Iterator[None]:
    """Delete the team's schedules after the test."""
    yield
    for schedule in schedules(here):
        call(here, "DELETE", f"/v1/schedules/{schedule['id']}")


def schedules(here: dict[str, Any]) -> list[dict[str, Any]]:
    return list(call(here, "GET", f"/v1/teams/{here['team_id']}/schedules")[1]["schedules"])


def made(here: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {"job_type": "revenuecat_sync", "project_id": here["project_id"], "cron": "0 3 * * *"} | fields
    status, answer = call(here, "POST", f"/v1/teams/{here['team_id']}/schedules", body)
    assert status == 201, answer
    return dict(answer["schedule"])


def new_schedule(page: Page) -> Any:
    page.get_by_role("button", name="New schedule").click()
    return page.get_by_role("dialog", name="New schedule")


def test_a_nightly_schedule_is_made_with_its_times_in_words(admin: Open, here: dict[str, Any]) -> None:
    page = admin("", timezone_id="America/New_York")
    page.get_by_role("link", name="Schedules").click()
    expect(heading(page, "Schedules")).to_be_focused()
    expect(page.get_by_text("No schedule yet")).to_be_visible()
    dialog = new_schedule(page)
    dialog.get_by_label("Type").select_option("revenuecat_sync")
    dialog.get_by_label("Project").select_option(label="Demo")
    expect(dialog.get_by_label("Time zone")).to_have_value("America/New_York")
    expect(dialog.locator(".preview")).to_contain_text("At 03:00 every day.")
    expect(dialog.locator(".preview li")).to_have_count(5)
    dialog.get_by_label("Cron expression").fill("*/5 * * * *")
    expect(dialog.locator(".preview")).to_contain_text("must leave 15 min between two of them")
    dialog.get_by_label("Cron expression").fill("30 2 * * MON-FRI")
    expect(dialog.locator(".preview")).to_contain_text("At 02:30 from Monday to Friday.")
    dialog.get_by_label("Mode").select_option(label="full")
    dialog.get_by_label("Name").fill("Weekdays")
    dialog.get_by_role("button", name="Make schedule").click()
    card = page.locator(".schedule")
    expect(card).to_contain_text("At 02:30 from Monday to Friday")
    expect(card).to_contain_text("(America/New_York)")
    expect(card).to_contain_text("Made by You")
    [schedule] = schedules(here)
    assert (schedule["name"], schedule["params"]["mode"]) == ("Weekdays", "full")


def test_a_refusal_is_shown_in_the_dialog(admin: Open, here: dict[str, Any]) -> None:
    made(here)
    page = admin("schedules")
    dialog = new_schedule(page)
    dialog.get_by_label("Type").select_option("revenuecat_sync")
    dialog.get_by_label("Time zone").fill("UTC")
    dialog.get_by_label("Cron expression").fill("61 * * * *")
    dialog.get_by_role("button", name="Make schedule").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The minute '61' of '61 * * * *' must be 0 to 59")


def test_it_is_edited_paused_resumed_and_deleted(admin: Open, here: dict[str, Any]) -> None:
    made(here, name="Nightly", params={"mode": "full"})
    page = admin("schedules")
    page.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name="Edit schedule")
    expect(dialog.get_by_label("Mode")).to_have_value('"full"')
    dialog.get_by_label("Cron expression").fill("0 4 * * *")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".schedule")).to_contain_text("At 04:00 every day")
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Reason").fill("The provider <moves>")
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.locator(".schedule")).to_contain_text("Paused by You, just now: The provider <moves>")
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(page.locator(".schedule")).to_contain_text("Next:")
    assert schedules(here)[0]["params"]["mode"] == "full"
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete schedule").click()
    expect(page.get_by_text("No schedule yet")).to_be_visible()
    assert schedules(here) == []


def test_a_start_at_a_later_time_runs_and_leads_to_its_run(
    admin: Open, here: dict[str, Any], stack: Stack, stack_owner: Any
) -> None:
    page = admin()
    page.get_by_role("button", name="Run job").click()
    dialog = page.get_by_role("dialog", name="Run job")
    dialog.get_by_label("Type").select_option("revenuecat_sync")
    at = datetime.now(UTC) + timedelta(hours=3)
    dialog.get_by_label("Start at").fill(at.strftime("%Y-%m-%dT%H:%M"))
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(heading(page, "Schedules")).to_be_visible()
    expect(page.locator(".schedule")).to_contain_text("Once, at")
    # Its time comes.
    stack_owner.run("UPDATE job_team_schedules SET next_slot = clock_timestamp() WHERE next_slot IS NOT NULL")
    stack.invoke("SweepFunction", {})
    look_again(page)
    page.get_by_role("link", name="Started").click()
    expect(page.locator("aside .facts").first).to_contain_text("a schedule")
    run_id = page.url.rsplit("/", 1)[1].split("?")[0]
    until(lambda: ended(here, run_id))
    page.get_by_role("link", name="a schedule").click()
    expect(page.locator(".schedule")).to_contain_text("It has started its one run.")
    page.get_by_role("button", name="Past times").click()
    expect(page.locator(".slots li")).to_have_count(1)


def test_a_member_of_another_role_sees_no_buttons(
    visitor: Any, here: dict[str, Any], people: Any, stack_owner: Any
) -> None:
    made(here)
    key = people.key(here["team_id"], "jobs:read")
    page = visitor().open("schedules", token=key)
    expect(page.locator(".schedule")).to_contain_text("At 03:00 every day")
    expect(page.get_by_role("button", name=re.compile("Edit|Pause|Delete|New schedule"))).to_have_count(0)


def test_it_is_accessible(admin: Open, here: dict[str, Any], stack_owner: Any) -> None:
    schedule = made(here, name="A name that is rather long for a phone, because people write sentences " * 1)
    made(here, cron="0 5 * * *")
    stack_owner.run(
        "INSERT INTO job_team_slots (schedule_id, slot, outcome, reason) VALUES (:id, now(), 'skipped', :reason)",
        id=schedule["id"], reason="a run of this type is live",
    )  # fmt: skip
    stack_owner.run("UPDATE job_team_schedules SET skipped = 4 WHERE id = :id", id=schedule["id"])
    page = admin("schedules")
    expect(page.locator(".schedule")).to_have_count(2)
    expect(page.locator(".schedule").last).to_contain_text("Skipped 4 times in a row.")
    assert_accessible(page)
    new_schedule(page)
    expect(page.locator(".preview li")).to_have_count(5)
    assert_accessible(page)
