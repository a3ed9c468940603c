"""Many runs at once on the page: filters in the address, a selection, the preview with downloads, and the result."""

import json
import os
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser_world import People, Visitor, assert_accessible, rows

pytestmark = pytest.mark.browser

FAILED = 30


@pytest.fixture
def outage(visitor: Callable[..., Visitor], people: People) -> Callable[..., Page]:
    """``outage(**options)``: the runs of a team after an outage, as its admin: thirty failed runs of three projects."""
    team_id = people.team(f"Outage {people.owner.run('SELECT gen_random_uuid()')[0][0]}")
    for name in ("Acme", "Birch", "Cedar"):
        people.runs(team_id, people.project(team_id, name), FAILED // 3)
    people.owner.run(
        "UPDATE job_runs SET status = 'failed', error = 'RevenueCat answered 503', result = NULL"
        " WHERE team_id = CAST(:team_id AS uuid)",
        team_id=team_id,
    )
    return lambda path="runs", **options: visitor(**options).open(path, token=people.user((team_id, "admin")))


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("NIGHTSHIFT_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_an_outage_is_run_again_on_the_page(outage: Callable[..., Page]) -> None:
    page = outage()
    expect(rows(page)).to_have_count(FAILED)
    page.get_by_role("button", name="More", exact=True).click()
    more = page.get_by_role("form", name="More filters")
    more.get_by_label("Error contains").fill("answered 404")
    more.get_by_label(re.compile("^From")).fill("2020-01-01T10:30")
    more.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("No runs match")).to_be_visible()
    assert "error=answered+404" in page.url
    more.get_by_label("Error contains").fill("ANSWERED 503")
    more.get_by_role("button", name="Apply").click()
    expect(rows(page)).to_have_count(FAILED)
    expect(page.get_by_text(f"Looked at the newest {FAILED} runs")).to_be_visible()
    expect(more.get_by_label(re.compile("^From"))).to_have_value("2020-01-01T10:30")
    assert_accessible(page)
    picture(page, "filters-light")
    page.get_by_role("button", name=re.compile("^More")).click()

    page.get_by_role("button", name="Select", exact=True).click()
    bar = page.get_by_role("group", name="Selected runs")
    expect(bar.get_by_role("button", name="Run again …")).to_be_disabled()
    page.get_by_role("checkbox", name="Select RevenueCat Sync of Acme, failed").first.check()
    expect(bar).to_contain_text("1 selected")
    expect(bar.get_by_role("button", name="Cancel …")).to_be_disabled()
    expect(bar.get_by_role("button", name="Run again …")).to_be_enabled()
    bar.get_by_label("All that match the filters").check()
    assert_accessible(page)
    picture(page, "selection-light")
    bar.get_by_role("button", name="Run again …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("30 runs in 3 projects: 3 will be run again.")
    expect(dialog).to_contain_text("27 are superseded")
    assert_accessible(page)
    picture(page, "preview-light")
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Download as CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 1 + FAILED
    assert sum(line.endswith(",superseded,,") for line in lines) == FAILED - 3
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Download as JSON").click()
    assert len(json.loads(download.value.path().read_text())) == FAILED
    dialog.get_by_role("button", name="Run 3 again").click()
    done = page.get_by_role("dialog", name="Done")
    expect(done).to_contain_text("Superseded by a newer run")
    assert_accessible(page)
    picture(page, "done-light")
    done.get_by_role("button", name="Close").last.click()
    # The same filters match the old runs only, and none is run again twice.
    bar.get_by_role("button", name="Run again …").click()
    expect(dialog).to_contain_text("3 it was run again already")
    expect(dialog.get_by_role("button", name="Run 0 again")).to_be_disabled()
    dialog.get_by_role("button", name="Close").last.click()
    bar.get_by_role("button", name="Run again: 30 of 30 done").click()
    expect(page.get_by_role("dialog", name="Done")).to_contain_text("Superseded by a newer run")
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    # With several projects, a person chooses one: the first may not be the one that they mean.
    page.get_by_role("button", name="Run job").click()
    expect(page.get_by_role("dialog").get_by_label("Project", exact=True)).to_have_value("")


def test_a_run_is_run_again_with_other_parameters(outage: Callable[..., Page]) -> None:
    page = outage()
    rows(page).first.get_by_role("link").click()
    page.get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog", name="Run again")
    dialog.get_by_label("From the start").check()
    expect(dialog.get_by_label("Mode")).to_have_value('"incremental"')
    dialog.get_by_label("Mode").select_option("full")
    picture(page, "rerun-light")
    with page.expect_request("**/rerun") as asked:
        dialog.get_by_role("button", name="Run again").click()
    sent = asked.value.post_data_json
    assert sent == {"from": "start", "params": {"mode": "full", "include_sandbox": False}}
    expect(page.get_by_text("an earlier run")).to_be_visible()
    expect(page.get_by_text("Times are in UTC.")).to_be_visible()
    picture(page, "run-light")
