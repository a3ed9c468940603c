"""The page requests live data again until it is no longer live, and not earlier than the server asks."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser_world import People, Visitor, changed, heading, look_again, rows, run_dialog
from tests.support.stack_world import until

pytestmark = pytest.mark.browser


@pytest.fixture
def team(people: People) -> str:
    name = f"Live {people.owner.run('SELECT gen_random_uuid()')[0][0]}"
    team = people.team(name)
    people.runs(team, people.project(team, "Runs"), 3)
    return team


@pytest.fixture
def clocked(visitor: Callable[..., Visitor], people: People, team: str) -> Callable[..., tuple[Visitor, Page]]:
    """``clocked(path)``: a visit by the team's admin whose clock the test controls."""

    def clocked(path: str = "runs", *, before: Callable[[Visitor], None] = lambda visit: None) -> tuple[Visitor, Page]:
        visit = visitor()
        visit.context.clock.install()
        before(visit)
        return visit, visit.open(path, token=people.user((team, "admin")))

    return clocked


def asked_for(visit: Visitor, part: str) -> list[str]:
    """Collect later requests."""
    asked: list[str] = []
    visit.context.on("request", lambda request: asked.append(request.url) if part in request.url else None)
    return asked


class TestItIsAskedForAgain:
    def test_who_is_signed_in_and_in_which_teams(
        self, visitor: Callable[..., Visitor], people: People, team: str
    ) -> None:
        visit = visitor()
        visit.context.clock.install()
        token = people.user()
        page = visit.open(token=token)
        expect(heading(page, "You are not in a team yet")).to_be_visible()
        people.join(token, team, "admin")
        with page.expect_response("**/whoami"):
            page.clock.run_for(60_000)
        expect(rows(page)).to_have_count(3)

    def test_a_view_that_was_refused(self, visitor: Callable[..., Visitor], people: People, team: str) -> None:
        visit = visitor()
        visit.context.clock.install()
        token = people.user((team, "member"))
        page = visit.open(token=token)
        expect(heading(page, "This is for the team's admins")).to_be_visible()
        people.join(token, team, "admin")
        page.clock.run_for(61_000)
        expect(rows(page)).to_have_count(3)

    def test_what_the_page_could_not_read(self, clocked: Any, team: str) -> None:
        """An answer in another shape is an error, but the next answer may be valid."""
        visit, page = clocked()
        expect(rows(page)).to_have_count(3)
        page.route("**/jobs?*", lambda route: route.fulfill(json={"job_runs": None}), times=1)
        look_again(page)
        until(lambda: visit.problems or page.wait_for_timeout(10))
        with page.expect_response("**/jobs?**"):
            page.clock.run_for(60_000)
        expect(rows(page)).to_have_count(3)
        assert all("TypeError" in problem for problem in visit.problems)
        visit.problems.clear()

    def test_a_live_run_further_down_than_an_answer_reaches(
        self, clocked: Any, people: People, team: str, stack_owner: Any
    ) -> None:
        [[project]] = stack_owner.run("SELECT id FROM projects WHERE team_id = :team", team=team)
        people.runs(team, project, 240)
        [[oldest]] = stack_owner.run(
            "UPDATE job_runs SET status = 'running', completed_at = NULL, result = NULL, request_id = 'r',"
            " slice_started_at = started_at, lease_expires_at = clock_timestamp() + interval '1 hour'"
            " WHERE id = (SELECT id FROM job_runs WHERE team_id = :team ORDER BY created_at, id LIMIT 1) RETURNING id",
            team=team,
        )
        _visit, page = clocked()
        for count in (60, 90, 120, 150, 180, 210, 240, 243):
            page.get_by_role("button", name="Load more").click()
            expect(rows(page)).to_have_count(count)
        expect(rows(page).last).to_contain_text("Running")
        stack_owner.run(
            "UPDATE job_runs SET status = 'completed', completed_at = clock_timestamp(), lease_expires_at = NULL"
            " WHERE id = :id",
            id=oldest,
        )
        look_again(page)
        expect(rows(page).last).to_contain_text("Completed")
        expect(rows(page)).to_have_count(243)

    def test_a_banner_until_the_type_is_resumed(self, clocked: Any) -> None:
        paused = [{"by": "ada", "why": "Provider is moving", "since": "2026-11-24T00:00:00.000Z"}]

        def pause(body: dict[str, Any]) -> None:
            body["job_types"][0]["paused"] = paused[-1] if paused else None

        _visit, page = clocked(before=lambda visit: changed(visit.context, "**/v1/job-types", pause))
        expect(page.locator(".notice")).to_contain_text("is paused by ada")
        paused.clear()
        page.clock.run_for(31_000)
        expect(page.locator(".notice")).to_have_count(0)

    def test_after_an_error_less_and_less_often(self, clocked: Any) -> None:
        visit, page = clocked()
        expect(rows(page)).to_have_count(3)
        page.route("**/jobs?*", lambda route: route.fulfill(status=500, json={"error": "Broken"}))
        look_again(page)
        expect(page.locator(".toast")).to_contain_text("Broken")
        asked = asked_for(visit, "/jobs?")
        for wait_ms in (2_000, 4_000, 8_000):
            page.clock.run_for(wait_ms - 500)
            before = len(asked)
            with page.expect_response("**/jobs?**") as answered:
                page.clock.run_for(1_000)
            answered.value.finished()
            expect(page.locator(".toast")).to_contain_text("Broken")
            assert len(asked) == before + 1
        page.unroute("**/jobs?*")
        page.get_by_role("button", name="Try now").click()
        expect(page.locator(".toast")).to_have_count(0)

    def test_nothing_of_a_view_that_was_left(self, clocked: Any) -> None:
        visit, page = clocked()
        rows(page).first.get_by_role("link").click()
        expect(heading(page, "Timeline")).to_be_visible()
        lists = asked_for(visit, "/jobs?")
        page.clock.run_for(120_000)
        look_again(page)
        expect(heading(page, "Timeline")).to_be_visible()
        # The sign-in page asks once whether there are codes.
        with page.expect_response("**/v1/auth/codes"):
            page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token or agent key")).to_be_visible()
        everything = asked_for(visit, "/v1/")
        page.clock.run_for(120_000)
        look_again(page)
        assert (lists, everything) == ([], [])


class TestTheServerSaysWhen:
    @pytest.mark.parametrize("after", ["40", "Thu, 26 Nov 2026 12:00:40 GMT"], ids=["seconds", "moment"])
    def test_a_list_comes_no_sooner(
        self, visitor: Callable[..., Visitor], people: People, team: str, after: str
    ) -> None:
        visit = visitor()
        visit.context.clock.install(time="2026-11-26T12:00:00Z")
        page = visit.open(token=people.user((team, "admin")))
        expect(rows(page)).to_have_count(3)
        page.route(
            "**/jobs?*",
            lambda route: route.fulfill(
                status=429,
                json={"error": "Your team has asked too often"},
                headers={"Retry-After": after, "Date": "Thu, 26 Nov 2026 12:00:00 GMT"},
            ),
        )
        look_again(page)
        expect(page.locator(".toast")).to_contain_text("Your team has asked too often.")
        page.unroute("**/jobs?*")
        asked = asked_for(visit, "/jobs?")
        page.clock.run_for(30_000)
        look_again(page)
        page.evaluate("dispatchEvent(new Event('online'))")
        assert asked == []
        with page.expect_response("**/jobs?**"):
            page.clock.run_for(12_000)
        expect(page.locator(".toast")).to_have_count(0)

    @pytest.mark.parametrize(
        ("answer", "sentences"),
        [
            (
                {"status": 429, "json": {"error": "Too many runs"}, "headers": {"Retry-After": "75"}},
                ["Too many runs", "Try again in 1 min 15 s."],
            ),
            ({"status": 429, "json": {"message": "Too Many Requests"}}, ["Too many requests at once."]),
            ({"status": 413, "json": {"error": "The body is larger than 64 KiB"}}, ["The body is larger than 64 KiB"]),
            ({"status": 413, "body": "<html>"}, ["The request is too large for the server."]),
        ],
        ids=["429", "429 of the gateway", "413", "413 of the gateway"],
    )
    def test_a_trigger_that_is_refused_says_so(
        self, clocked: Any, answer: dict[str, Any], sentences: list[str]
    ) -> None:
        _visit, page = clocked()
        run_dialog(page)
        page.route("**/jobs/trigger", lambda route: route.fulfill(**answer))
        page.get_by_role("button", name="Run", exact=True).click()
        alert = page.get_by_role("dialog").get_by_role("alert")
        for sentence in sentences:
            expect(alert).to_contain_text(sentence)
        expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()


def test_a_token_that_ends_while_a_run_is_looked_at_is_asked_for_and_the_run_goes_on(
    clocked: Any, people: People, team: str
) -> None:
    _visit, page = clocked()
    rows(page).first.get_by_role("link").click()
    expect(heading(page, "Timeline")).to_be_visible()
    page.route(
        "**/v1/jobs/*", lambda route: route.fulfill(status=401, json={"error": "Invalid or expired token"}), times=1
    )
    look_again(page)
    expect(page.get_by_role("alert")).to_have_text("Invalid or expired token")
    page.get_by_label("Token or agent key").fill(people.user((team, "admin")))
    page.keyboard.press("Enter")
    expect(heading(page, "Timeline")).to_be_visible()
    expect(page.locator(".heading .status")).to_have_text(re.compile("Completed"))
