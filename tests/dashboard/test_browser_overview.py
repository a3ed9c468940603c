"""The first page says whether data is fresh and jobs work, and watching a list of runs costs little."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.browser_world import People, Visitor, heading, look_again, rows

pytestmark = pytest.mark.browser

# Bytes of a minute in which 200 runs are watched, of which some are live: bodies and headers, to and from the server.
MOST_BYTES = 100_000


@pytest.fixture
def team(people: People) -> str:
    return people.team(f"Watched {people.owner.run('SELECT gen_random_uuid()')[0][0]}")


def test_the_first_page_says_whether_the_jobs_work(
    visitor: Callable[..., Visitor], people: People, team: str, stack_owner: Any
) -> None:
    good, bad = people.project(team, "Good"), people.project(team, "Bad")
    stack_owner.run(
        "INSERT INTO job_runs"
        " (id, job_type, status, team_id, project_id, triggered_by, started_at, completed_at, error)"
        " SELECT gen_random_uuid(), 'revenuecat_sync', status, CAST(:team AS uuid), project, 'schedule',"
        " clock_timestamp() - interval '12 s', clock_timestamp(), CASE WHEN status = 'failed' THEN"
        " 'RevenueCat answered 401 to GET /projects/proj1ab2c3d' END"
        " FROM (VALUES (CAST(:good AS uuid), 'completed'), (:good, 'completed'), (:bad, 'completed'), (:bad, 'failed'))"
        " AS made (project, status)",
        team=team,
        good=good,
        bad=bad,
    )
    stack_owner.run(
        "UPDATE job_runs SET created_at = created_at + interval '1 s', completed_at = completed_at + interval '1 s'"
        " WHERE team_id = :team AND status = 'failed'",
        team=team,
    )
    page = visitor().open("", token=people.user((team, "admin")))
    expect(page.get_by_text("Of 2 jobs, 1 is failing.")).to_have_count(2)  # once for screen readers
    jobs = page.get_by_role("list", name="Jobs").get_by_role("listitem")
    expect(jobs.first).to_contain_text("Bad")
    expect(jobs.first).to_contain_text("RevenueCat answered 401")
    expect(jobs.first).to_contain_text("50 %")
    expect(jobs.last).to_contain_text("12 s")
    expect(jobs.last.get_by_role("img")).to_have_attribute("aria-label", "Last 14 days: 2 completed, 0 failed")
    # The picture's numbers are in a table.
    jobs.first.locator("summary").press("Enter")
    expect(jobs.first.get_by_role("row").nth(1)).to_have_text(re.compile(r"\d+ \w+110$"))
    errors = page.get_by_role("region", name="Errors")
    expect(errors).to_contain_text("RevenueCat answered 401 to GET /projects/<id>")
    expect(errors).to_contain_text("Check the provider's key")
    errors.get_by_role("link", name="All failed runs").click()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_label("Status")).to_have_value("failed")
    page.get_by_role("link", name="Overview").click()
    jobs.last.get_by_role("link", name="RevenueCat Sync").click()
    expect(rows(page)).to_have_count(2)
    expect(heading(page, "Runs")).to_be_visible()


def test_a_minute_of_watching_two_hundred_runs_costs_little(
    visitor: Callable[..., Visitor], people: People, team: str, stack_owner: Any
) -> None:
    projects = [people.project(team, f"P{number}") for number in range(5)]
    people.runs(team, projects[0], 195)
    stack_owner.run(
        "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, started_at, lease_expires_at,"
        " request_id, slice_started_at) SELECT gen_random_uuid(), 'revenuecat_sync', 'running', CAST(:team AS uuid),"
        " project, 'schedule', clock_timestamp(), clock_timestamp() + interval '1 hour', 'r', clock_timestamp()"
        " FROM unnest(CAST(:projects AS uuid[])) AS project",
        team=team,
        projects=projects,
    )
    visit = visitor()
    visit.context.clock.install()
    page = visit.open(token=people.user((team, "admin")))
    for count in (60, 90, 120, 150, 180, 200):
        page.get_by_role("button", name="Load more").click()
        expect(rows(page)).to_have_count(count)
    answered: list[Any] = []
    visit.context.on("requestfinished", lambda request: answered.append(request) if "/v1/" in request.url else None)
    look_again(page)
    for step in range(30):
        stack_owner.run(
            "UPDATE job_runs SET progress = jsonb_build_object('processed', CAST(:step AS integer), 'total', 1000,"
            " 'message', 'Synced ' || :step || ' users') WHERE team_id = :team AND status = 'running'",
            step=step,
            team=team,
        )
        with page.expect_response("**/jobs?*changed_since*"):
            page.clock.run_for(2_000)
    sizes = [request.sizes() for request in answered]
    spent = sum(sum(size.values()) for size in sizes)
    in_bodies = sum(size["responseBodySize"] for size in sizes)
    print(f"{len(sizes)} requests, {spent:,} bytes, of these {in_bodies:,} in bodies")
    assert spent < MOST_BYTES
    expect(rows(page)).to_have_count(200)
    expect(page.locator(".measure .figures").first).to_contain_text("of 1,000")
    # The runs end; from then on, nothing changes.
    stack_owner.run(
        "UPDATE job_runs SET status = 'cancelled', completed_at = clock_timestamp(), lease_expires_at = NULL"
        " WHERE team_id = :team AND status = 'running'",
        team=team,
    )
    with page.expect_response("**/jobs?*changed_since*"):
        page.clock.run_for(2_000)
    expect(page.locator(".runs .status.running")).to_have_count(0)
    with page.expect_response("**/jobs?*changed_since*") as unchanged:
        page.clock.run_for(16_000)
    assert unchanged.value.status == 304
