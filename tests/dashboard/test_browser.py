"""The dashboard as people use it: Chromium, the real API and real runs."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from local.run import call
from local.stack import Stack
from tests.support.browser_world import (
    DOWN,
    PHONE,
    Open,
    People,
    Visitor,
    assert_accessible,
    barriers,
    heading,
    is_wider_than_the_window,
    rows,
    run_dialog,
    run_id_of,
    type_of,
)
from tests.support.stack_world import USERS, ended, triggered, until

pytestmark = pytest.mark.browser


class TestSigningIn:
    def test_with_a_token_that_is_typed_in(self, visitor: Callable[..., Visitor], here: dict[str, Any]) -> None:
        page = visitor().open()
        page.get_by_label("Token or agent key").fill(here["admin_token"])
        page.keyboard.press("Enter")
        expect(heading(page, "Runs")).to_be_visible()
        expect(page.get_by_text("owner@demo.test")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("E-mail address")).to_be_focused()
        assert page.evaluate("sessionStorage.length") == 0

    def test_with_a_link_that_leaves_no_trace_of_its_token(self, visitor: Callable[..., Visitor], here: Any) -> None:
        visit = visitor()
        asked = []
        visit.context.on("request", lambda request: asked.append(request.url))
        page = visit.open(token=here["admin_token"])
        expect(heading(page, "Runs")).to_be_visible()
        assert page.url == here["dashboard_url"] + "runs"
        page.goto("about:blank")
        page.go_back()
        expect(heading(page, "Runs")).to_be_visible()
        assert "#" not in page.url
        assert not [url for url in asked if here["admin_token"] in url.partition("#")[0]]

    def test_a_link_takes_no_session_away_unasked(self, admin: Open, here: dict[str, Any]) -> None:
        page = admin()
        name = page.locator(".whoami")
        expect(name).to_have_text("owner@demo.test")

        def follow(token: str) -> None:
            page.evaluate("token => { location.hash = `token=${token}` }", token)
            until(lambda: "#" not in page.url or page.wait_for_timeout(10))

        for nothing_to_ask in ("", "%zz", here["admin_token"]):
            follow(nothing_to_ask)
        follow(here["agent_key"])
        # If one of the earlier links had asked, there would be two dialogs.
        expect(page.get_by_role("dialog")).to_contain_text("You are signed in as owner@demo.test")
        assert barriers(page) == []
        page.get_by_role("button", name="Stay signed in").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(name).to_have_text("owner@demo.test")
        follow(here["agent_key"])
        page.get_by_role("button", name="Use the link").click()
        expect(name).to_have_text("Agent key of Demo")

    def test_a_link_that_waits_for_an_answer_is_used_when_the_session_ends(
        self, visitor: Callable[..., Visitor], people: People, here: dict[str, Any]
    ) -> None:
        key = people.key(here["team_id"], "jobs:read")
        page = visitor().open(token=key)
        expect(heading(page, "Runs")).to_be_visible()
        page.evaluate(f"location.hash = 'token={here['admin_token']}'")
        expect(page.get_by_role("dialog")).to_be_visible()
        people.revoke(key)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.get_by_text("owner@demo.test")).to_be_visible()
        expect(page.get_by_role("dialog")).to_have_count(0)

    def test_lasts_as_long_as_the_page_where_nothing_may_be_kept(
        self, visitor: Callable[..., Visitor], here: dict[str, Any]
    ) -> None:
        visit = visitor()
        visit.context.add_init_script(
            "Object.defineProperty(window, 'sessionStorage', {get() { throw new DOMException('no', 'SecurityError') }})"
        )
        page = visit.open(token=here["admin_token"])
        expect(heading(page, "Runs")).to_be_visible()
        page.reload()
        expect(page.get_by_label("Token or agent key")).to_be_visible()

    def test_a_call_after_signing_out_is_not_made_and_blames_nobody(self, visitor: Callable[..., Visitor]) -> None:
        visit, asked = visitor(), []
        visit.context.on("request", lambda request: asked.append(request.url) if "/v1/" in request.url else None)
        page = visit.open()
        expect(page.get_by_label("E-mail address")).to_be_focused()
        module = page.locator("script").evaluate("script => new URL('api.js', script.src).href")
        status = page.evaluate(
            "async (module) => (await import(module)).api('GET', 'v1/projects').catch(({ status }) => status)", module
        )
        assert status == 401
        expect(page.get_by_role("alert")).to_have_count(0)
        assert [url for url in asked if not url.endswith("/v1/auth/codes")] == []

    @pytest.mark.parametrize(
        ("token", "sentence"), [("owl_agent_nonsense", "Invalid API key"), ("nonsense", "Invalid or expired token")]
    )
    def test_with_a_wrong_one(self, visitor: Callable[..., Visitor], token: str, sentence: str) -> None:
        page = visitor().open()
        page.get_by_label("Token or agent key").fill(token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text(sentence)
        expect(page.get_by_label("Token or agent key")).to_be_focused()
        assert page.evaluate("sessionStorage.length") == 0
        page.goto(page.url + f"#token={token}")
        page.reload()
        expect(page.get_by_label("Token or agent key")).to_be_visible()
        assert "#" not in page.url

    @pytest.mark.parametrize("token", ["", "%zz", "a%0Ab", "%E2%9C%93"])
    def test_with_a_link_whose_token_no_header_can_carry(self, visitor: Callable[..., Visitor], token: str) -> None:
        page = visitor().open(f"#token={token}")
        expect(page.get_by_role("alert")).to_contain_text("damaged")
        assert page.evaluate("sessionStorage.length") == 0
        assert "#" not in page.url

    def test_with_a_typed_one_that_no_header_can_carry(self, visitor: Callable[..., Visitor]) -> None:
        page = visitor().open()
        page.get_by_label("Token or agent key").fill("owl_agent_\N{RIGHT SINGLE QUOTATION MARK}")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("Invalid or expired token")

    def test_going_back_after_signing_out_shows_nothing(self, visitor: Callable[..., Visitor], here: Any) -> None:
        visit = visitor()
        page = visit.open(token=here["admin_token"])
        expect(heading(page, "Runs")).to_be_visible()
        # The page's own parts are still there.
        page.locator("script").evaluate("script => import(new URL('signin.js', script.src).href)")
        page.wait_for_load_state("networkidle")
        visit.context.set_offline(True)
        # Another page in this tab signed out, and the browser restores this page as it was.
        page.evaluate("sessionStorage.clear()")
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
        expect(page.get_by_label("Token or agent key")).to_be_visible()

    def test_a_session_that_ends_is_gone_on_with_where_one_was(
        self, visitor: Callable[..., Visitor], people: People, here: dict[str, Any]
    ) -> None:
        key = people.key(here["team_id"], "jobs:read", "jobs:write")
        page = visitor().open("?status=failed", token=key)
        expect(heading(page, "Runs")).to_be_visible()
        people.revoke(key)
        page.get_by_label("Status").select_option("completed")
        expect(page.get_by_role("alert")).to_have_text("Invalid API key")
        page.get_by_label("Token or agent key").fill(here["agent_key"])
        page.keyboard.press("Enter")
        expect(page.get_by_label("Status")).to_have_value("completed")


@pytest.mark.usefixtures("quiet")
class TestARun:
    def test_from_the_dialog_to_its_completion(self, admin: Open, faults: Any, here: dict[str, Any]) -> None:
        faults(latency_s=1, path="customers")
        page = admin()
        run_dialog(page)
        page.get_by_label("Mode").select_option("full")
        page.get_by_label("Include sandbox").check()
        page.get_by_label("Notify me when done").check()
        page.get_by_role("button", name="Run", exact=True).click()
        run_id = run_id_of(page)
        bar = page.get_by_role("progressbar", name="Progress of RevenueCat Sync")
        # The progress is visible before the end.
        until(lambda: 0 < (bar.evaluate("bar => bar.value") or 0) < USERS)
        faults()
        expect(page.locator(".heading .status")).to_have_text("Completed")
        expect(page.locator(".measure-card .figures").first).to_have_text(f"{USERS} of {USERS}")
        expect(page.locator(".timeline")).to_contain_text("finished the run")
        run = ended(here, run_id)
        assert run is not None
        assert (run["params"]["include_sandbox"], run["notify"]) == (True, True)
        expect(page.locator("aside")).to_contain_text(re.compile(r"Triggered by\s*You"))
        expect(page.locator("aside")).to_contain_text(re.compile(r"Include sandbox\s*Yes"))
        page.get_by_role("link", name="Runs").click()
        expect(rows(page).first).to_contain_text("Completed")

    def test_that_the_cleanup_stopped_says_so(
        self, admin: Open, here: dict[str, Any], stack_owner: Any, faults: Any
    ) -> None:
        faults(latency_s=0.2, path="customers")
        run_id = triggered(here)["id"]
        stack_owner.run(
            "UPDATE job_runs SET cancel_requested_at = clock_timestamp(), cancel_requested_by = 'soft_delete_cleanup',"
            " lease_expires_at = coalesce(lease_expires_at, clock_timestamp()), resend_at = NULL, status = 'running',"
            " started_at = coalesce(started_at, clock_timestamp()), request_id = coalesce(request_id, 'r'),"
            " slice_started_at = coalesce(slice_started_at, clock_timestamp()) WHERE id = :id",
            id=run_id,
        )
        page = admin(f"runs/{run_id}")
        expect(page.locator(".timeline")).to_contain_text(
            "Asked to stop by Soft-Delete Cleanup, because the project or team was deleted"
        )
        faults()
        until(lambda: ended(here, run_id))

    def test_is_cancelled_and_run_again_from_where_it_stopped(
        self, admin: Open, faults: Any, here: dict[str, Any]
    ) -> None:
        faults(latency_s=1, path="customers")
        run_id = triggered(here)["id"]
        page = admin(f"runs/{run_id}")
        expect(page.locator(".measure-card .figures").first).to_have_text(re.compile(f"^[1-9][0-9]* of {USERS}$"))
        # The job's message begins with the same count.
        expect(page.locator(".measure-card .said")).to_have_text(re.compile("^[0-9,]+ a minute, about .+ left$"))
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Cancel run").click()
        expect(page.locator(".timeline")).to_contain_text("Asked to stop by")
        expect(page.locator(".heading .status")).to_have_text("Cancelled")
        expect(page.locator(".timeline")).to_contain_text(re.compile(r"Stopped \d+ (ms|s) later"))
        faults()
        page.get_by_role("button", name="Run again").click()
        expect(page.get_by_label("From where this one stopped")).to_be_checked()
        page.get_by_role("dialog").get_by_role("button", name="Run again").click()
        page.wait_for_url(lambda url: run_id not in url)
        expect(page.locator(".heading .status")).to_have_text("Completed")
        page.get_by_role("link", name="an earlier run").click()
        expect(page.locator(".heading .status")).to_have_text("Cancelled")
        assert page.url.endswith(run_id)

    def test_says_why_it_does_not_move(self, admin: Open, faults: Any, here: dict[str, Any]) -> None:
        faults(**DOWN)
        page = admin(f"runs/{triggered(here)['id']}")
        why = page.get_by_role("region", name="Why there is no progress")
        expect(why).to_contain_text("Waiting")
        expect(why).to_contain_text("It is waiting for")

    def test_cancelled_by_the_keyboard_it_keeps_the_focus_on_the_page(
        self, admin: Open, faults: Any, here: dict[str, Any]
    ) -> None:
        faults(**DOWN)
        page = admin(f"runs/{triggered(here)['id']}")
        page.get_by_role("button", name="Cancel").press("Enter")
        page.get_by_role("button", name="Cancel run").press("Enter")
        expect(page.locator(".heading .status")).to_have_text("Cancelled")
        expect(heading(page, "RevenueCat Sync")).to_be_focused()

    def test_a_second_one_leads_to_the_first(self, admin: Open, faults: Any, here: dict[str, Any]) -> None:
        faults(**DOWN)
        first = triggered(here)["id"]
        page = admin()
        run_dialog(page)
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("A job of this type is already running or pending")
        page.get_by_role("link", name="Open the existing run").click()
        assert run_id_of(page) == first
        expect(page.get_by_role("dialog")).to_have_count(0)

    def test_starts_once_though_the_answer_is_lost(self, admin: Open, faults: Any, here: dict[str, Any]) -> None:
        faults(**DOWN)
        page = admin()
        run_dialog(page)
        lost = []

        def lose(route: Any) -> None:
            lost.append(route.fetch())
            route.abort()

        page.route("**/jobs/trigger", lose, times=1)
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("starts only once")
        page.get_by_role("button", name="Run", exact=True).click()
        assert run_id_of(page) == lost[0].json()["job_run"]["id"]

    def test_nothing_closes_the_dialog_while_its_answer_is_on_the_way(self, admin: Open, here: dict[str, Any]) -> None:
        page = admin()
        run_dialog(page)
        held: list[Any] = []
        page.route("**/jobs/trigger", lambda route: held.append(route), times=1)
        page.get_by_role("button", name="Run", exact=True).click()
        until(lambda: held or page.wait_for_timeout(10))
        # Chromium lets a page refuse only the first one.
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.mouse.click(5, 5)
        held[0].fulfill(status=400, json={"error": "Not today"})
        expect(page.get_by_role("dialog").get_by_role("alert")).to_have_text("Not today")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)

    def test_an_answer_that_comes_after_its_page_is_gone_moves_nothing(
        self, visitor: Callable[..., Visitor], people: People, stack_owner: Any
    ) -> None:
        team = people.team("Gone")
        people.runs(team, people.project(team, "Runs"), 1)
        [[run_id]] = stack_owner.run("SELECT id FROM job_runs WHERE team_id = :team", team=team)
        visit, held, asked = visitor(), [], []
        visit.context.on("request", lambda request: asked.append(request.url) if "/v1/" in request.url else None)
        page = visit.open(f"runs/{run_id}", token=people.user((team, "admin")))
        page.route("**/jobs/trigger", lambda route: held.append(route))
        answers = [
            {"status": 400, "json": {"error": "Not today"}},
            {"status": 201, "json": {"job_run": {"id": "00000000-0000-4000-8000-000000000001"}}},
        ]
        for count, answer in enumerate(answers, start=1):
            page.get_by_role("link", name="Runs").click()
            run_dialog(page)
            page.get_by_role("button", name="Run", exact=True).click()
            until(lambda count=count: len(held) == count or page.wait_for_timeout(10))
            with page.expect_response("**/members"):
                page.go_back()
            expect(heading(page, "Timeline")).to_be_visible()
            asked.clear()
            with page.expect_response("**/jobs/trigger") as answered:
                held[-1].fulfill(**answer)
            answered.value.finished()
            expect(heading(page, "Timeline")).to_be_visible()
            assert run_id_of(page) == str(run_id)
            assert asked == []

    def test_the_title_of_a_hidden_tab_tells_the_end(
        self, visitor: Callable[..., Visitor], faults: Any, here: dict[str, Any]
    ) -> None:
        faults(**DOWN)
        run_id = triggered(here)["id"]
        visit = visitor()
        visit.context.clock.install()
        page = visit.open(f"runs/{run_id}", token=here["admin_token"])
        expect(page).to_have_title(re.compile(r"^0 % · RevenueCat Sync (pending|running)"))
        page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        call(here, "POST", f"/v1/jobs/{run_id}/cancel")
        until(lambda: ended(here, run_id))
        page.clock.run_for(31_000)
        expect(page).to_have_title("RevenueCat Sync cancelled · Nightshift")

    def test_over_midnight_has_its_days_in_the_timeline(
        self, visitor: Callable[..., Visitor], people: People, stack_owner: Any
    ) -> None:
        team = people.team("Midnight")
        people.runs(team, people.project(team, "Runs"), 1)
        [[run_id]] = stack_owner.run(
            "UPDATE job_runs SET created_at = '2026-11-20T22:30Z', completed_at = '2026-11-20T23:30Z'"
            " WHERE team_id = :team RETURNING id",
            team=team,
        )
        token = people.user((team, "admin"))
        for zone, times in {
            "UTC": ["23:30:00", "22:30:00"],
            "Europe/Berlin": ["21 Nov 2026 00:30:00", "20 Nov 2026 23:30:00"],
        }.items():
            page = visitor(timezone_id=zone).open(f"runs/{run_id}", token=token)
            expect(page.locator(".timeline time")).to_have_text(times)

    def test_by_the_keyboard_alone(self, admin: Open, faults: Any) -> None:
        faults(**DOWN)
        page = admin()
        opener = page.get_by_role("button", name="Run job")
        expect(opener).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to content")).to_be_focused()
        opener.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#type")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(opener).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#type")).to_be_focused()
        # A select without a list on the screen takes the entry that starts with the letters typed.
        page.keyboard.type("RevenueCat S")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        expect(page.get_by_label("Include sandbox")).to_be_focused()
        page.keyboard.press("Space")
        run = page.get_by_role("button", name="Run", exact=True)
        # A browser decides how many stops the field of a time has.
        for _ in range(20):
            if run.evaluate("button => button === document.activeElement"):
                break
            page.keyboard.press("Tab")
        expect(run).to_be_focused()
        page.keyboard.press("Enter")
        run_id_of(page)
        expect(heading(page, "RevenueCat Sync")).to_be_focused()

    def test_a_long_timeline_is_unfolded_without_losing_the_focus(
        self, visitor: Callable[..., Visitor], people: People, stack_owner: Any
    ) -> None:
        team = people.team("Long")
        people.runs(team, people.project(team, "Runs"), 1)
        [[run_id]] = stack_owner.run("SELECT id FROM job_runs WHERE team_id = :team", team=team)
        stack_owner.run(
            "INSERT INTO job_slices (run_id, slice, request_id, started_at, ended_at, outcome)"
            " SELECT CAST(:run_id AS uuid), n, 'r', clock_timestamp(), clock_timestamp(), 'continued'"
            " FROM generate_series(0, 99) AS n",
            run_id=run_id,
        )
        page = visitor().open(f"runs/{run_id}", token=people.user((team, "admin")))
        page.get_by_role("button", name="Show 90 more").press("Enter")
        expect(page.locator(".timeline li")).to_have_count(102)
        expect(page.locator(".timeline")).to_be_focused()
        assert barriers(page) == []

    def test_its_id_is_copied(self, admin: Open, here: dict[str, Any]) -> None:
        run_id = triggered(here)["id"]
        page = admin(f"runs/{run_id}", permissions=["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy run id").click()
        expect(page.get_by_text("Copied run id")).to_be_attached()
        assert page.evaluate("navigator.clipboard.readText()") == run_id

    def test_with_nothing_to_do_is_shown_as_done(
        self, visitor: Callable[..., Visitor], people: People, stack_owner: Any
    ) -> None:
        team = people.team("Nothing")
        people.runs(team, people.project(team, "Runs"), 1)
        none = '{"processed": 0, "total": 0, "message": "No users"}'
        sql = "UPDATE job_runs SET progress = CAST(:none AS jsonb) WHERE team_id = :team RETURNING id"
        [[run_id]] = stack_owner.run(sql, none=none, team=team)
        page = visitor().open(f"runs/{run_id}", token=people.user((team, "admin")))
        expect(page.get_by_text("100 %")).to_be_visible()
        assert page.get_by_role("progressbar").evaluate("bar => bar.value / bar.max") == 1

    @pytest.mark.parametrize("run_id", ["00000000-0000-4000-8000-000000000001", "nonsense"])
    def test_that_is_nobodys_is_not_found(self, admin: Open, run_id: str) -> None:
        page = admin(f"runs/{run_id}")
        expect(heading(page, "No such run")).to_be_visible()
        page.get_by_role("link", name="All runs").click()
        expect(heading(page, "Runs")).to_be_visible()

    def test_a_new_one_appears_in_the_list_and_in_its_title(self, admin: Open, here: dict[str, Any]) -> None:
        page = admin()
        expect(heading(page, "Runs")).to_be_visible()
        expect(page).to_have_title("Runs · Demo · Nightshift")
        run_id = triggered(here)["id"]
        # The same event as when a person returns to the tab.
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator(f'a[href$="runs/{run_id}"]')).to_be_visible()


class TestTheList:
    def test_filters_are_in_the_address(self, admin: Open) -> None:
        # Addresses of earlier releases had the list at the root.
        page = admin("?status=completed")
        expect(page.get_by_label("Status")).to_have_value("completed")
        page.get_by_label("Status").select_option("failed")
        page.wait_for_url("**/runs?status=failed")
        page.get_by_label("Time").select_option("7d")
        page.wait_for_url("**/runs?status=failed&since=7d")
        page.reload()
        expect(page.get_by_label("Status")).to_have_value("failed")
        expect(page.get_by_label("Time")).to_have_value("7d")
        page.go_back()
        expect(page.get_by_label("Time")).to_have_value("")
        expect(page.get_by_label("Status")).to_have_value("failed")

    def test_more_is_loaded_and_stays_when_the_list_comes_anew(
        self, visitor: Callable[..., Visitor], people: People
    ) -> None:
        team = people.team("Many")
        project = people.project(team, "Runs")
        people.runs(team, project, 75)
        page = visitor().open(token=people.user((team, "admin")))
        expect(rows(page)).to_have_count(30)
        page.get_by_role("button", name="Load more").click()
        expect(rows(page)).to_have_count(60)
        page.get_by_role("button", name="Load more").click()
        expect(rows(page)).to_have_count(75)
        with page.expect_response("**/jobs?*limit=75"):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(rows(page)).to_have_count(75)
        expect(rows(page).last).to_contain_text("Number 75")
        expect(page.get_by_role("button", name="Load more")).to_have_count(0)

    def test_what_is_read_does_not_move_when_a_run_comes(
        self, visitor: Callable[..., Visitor], people: People, stack_owner: Any
    ) -> None:
        team = people.team("Reader")
        project = people.project(team, "Runs")
        people.runs(team, project, 40)
        page = visitor().open(token=people.user((team, "admin")))
        expect(rows(page)).to_have_count(30)
        page.mouse.wheel(0, 600)
        until(lambda: page.evaluate("scrollY") > 400)
        place = rows(page).nth(15).bounding_box()
        stack_owner.run("UPDATE job_runs SET created_at = clock_timestamp(), started_at = clock_timestamp(),"
                        " completed_at = clock_timestamp() + interval '20 s', id = gen_random_uuid()"
                        " WHERE team_id = :team AND progress->>'processed' = '40'", team=team)  # fmt: skip
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        fresh = page.get_by_role("button", name="1 new run")
        expect(fresh).to_be_visible()
        moved = rows(page).nth(15).bounding_box()
        assert abs(place["y"] - moved["y"]) < 2
        fresh.click()
        expect(rows(page).first).to_contain_text("Number 40")

    def test_after_more_new_runs_than_a_page_none_is_left_out(
        self, visitor: Callable[..., Visitor], people: People, stack_owner: Any
    ) -> None:
        team = people.team("Sleeper")
        project = people.project(team, "Runs")
        people.runs(team, project, 40)
        stack_owner.run("UPDATE job_runs SET created_at = created_at - interval '3 hours' WHERE team_id = :t", t=team)
        page = visitor().open(token=people.user((team, "admin")))
        expect(rows(page)).to_have_count(30)
        people.runs(team, project, 45)
        stack_owner.run("UPDATE job_runs SET completed_at = clock_timestamp() WHERE team_id = :t"
                        " AND created_at > clock_timestamp() - interval '2 hours'", t=team)  # fmt: skip
        with page.expect_response("**/jobs?*limit=30"):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.get_by_role("button", name="Load more").click()
        expect(rows(page)).to_have_count(60)
        expect(rows(page).nth(30)).to_contain_text("Number 31")

    def test_what_is_loaded_while_the_list_is_asked_for_stays(
        self, visitor: Callable[..., Visitor], people: People
    ) -> None:
        team = people.team("Racer")
        people.runs(team, people.project(team, "Runs"), 75)
        page = visitor().open(token=people.user((team, "admin")))
        expect(rows(page)).to_have_count(30)
        held: list[Any] = []
        page.route("**/jobs?*limit=30", lambda route: held.append(route), times=1)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        until(lambda: held or page.wait_for_timeout(10))
        page.get_by_role("button", name="Load more").click()
        expect(rows(page)).to_have_count(60)
        with page.expect_response("**/jobs?*limit=30"):
            held[0].continue_()
        with page.expect_response("**/jobs?*limit=60"):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    @pytest.mark.parametrize(
        ("call", "body"), [("auth/whoami", "<p>Back soon"), ("job-types", "null"), ("jobs?", '{"job_runs": [{"id"')]
    )
    def test_an_answer_that_cannot_be_read_is_asked_for_again(
        self, visitor: Callable[..., Visitor], here: dict[str, Any], call: str, body: str
    ) -> None:
        visit = visitor()
        visit.context.route(f"**/{call}**", lambda route: route.fulfill(status=200, body=body), times=1)
        visit.context.clock.install()
        page = visit.open(token=here["admin_token"])
        expect(page.get_by_text("The server's answer cannot be read.")).to_be_visible()
        page.clock.run_for(2_000)
        expect(page.get_by_label("Status")).to_be_visible()
        expect(page.get_by_text("The server's answer cannot be read.")).to_have_count(0)

    def test_filters_that_nothing_fits_can_be_cleared(self, admin: Open, here: dict[str, Any]) -> None:
        page = admin("?status=cancelled&since=0m")
        expect(heading(page, "No runs match")).to_be_visible()
        page.get_by_role("button", name="Clear filters").click()
        page.wait_for_url(here["dashboard_url"] + "runs")

    def test_a_filter_that_makes_no_sense_is_said(self, admin: Open) -> None:
        page = admin("?since=yesterday")
        expect(page.get_by_text("since must be ISO 8601 or relative like 30m, 1h, 7d")).to_be_visible()
        page.get_by_role("button", name="Clear filters").click()
        expect(page.get_by_label("Time")).to_have_value("")

    def test_a_project_that_is_nobodys_is_said(self, admin: Open) -> None:
        page = admin("?project_id=00000000-0000-4000-8000-000000000001")
        expect(page.get_by_text("Project not found")).to_be_visible()
        expect(page.get_by_role("button", name="Run job")).to_be_visible()
        page.get_by_role("button", name="Clear filters").click()
        expect(page.get_by_label("Project")).to_have_value("")

    def test_what_is_said_of_one_filter_is_not_said_of_another(
        self, visitor: Callable[..., Visitor], people: People
    ) -> None:
        team = people.team("Filters")
        people.runs(team, people.project(team, "Runs"), 40)
        visit = visitor(timezone_id="UTC")
        visit.context.clock.install(time="2026-11-24T10:00:00Z")
        page = visit.open(token=people.user((team, "admin")))
        expect(rows(page)).to_have_count(30)
        page.route("**/jobs?*cursor*", lambda route: route.fulfill(status=500, json={"error": "Broken"}))
        page.get_by_role("button", name="Load more").click()
        expect(page.get_by_role("alert")).to_have_text("Broken")
        page.clock.set_system_time("2026-11-24T10:15:00Z")
        with page.expect_response("**/jobs?*status=completed*"):
            page.get_by_label("Status").select_option("completed")
        expect(page.locator(".runs")).not_to_have_attribute("aria-busy", "true")
        expect(page.get_by_role("alert")).to_have_count(0)
        page.route("**/jobs?*", lambda route: route.abort())
        page.clock.set_system_time("2026-11-24T10:30:00Z")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        toast = page.locator(".toast")
        expect(toast).to_contain_text(re.compile(r"Last updated at 10:(1[5-9]|2\d)"))
        page.get_by_label("Status").select_option("")
        expect(toast).to_contain_text(re.compile(r"Last updated at 10:0\d"))

    def test_an_error_of_the_server_can_be_quoted(self, admin: Open, completed_run: str) -> None:
        page = admin()
        expect(rows(page).first).to_be_visible()
        answers = [
            {"status": 500, "json": {"error": "Something went wrong on our side", "request_id": "r-1"}},
            {"status": 429, "json": {"message": "Too Many Requests"}},
        ]
        page.route("**/jobs?*", lambda route: route.fulfill(**(answers[0] if len(answers) > 1 else answers[-1])))
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator(".toast")).to_contain_text("Something went wrong on our side (request r-1). Last updated")
        answers.pop(0)
        page.get_by_role("button", name="Try now").click()
        expect(page.locator(".toast")).to_contain_text("Too many requests at once. Last updated")

    def test_who_comes_back_from_a_run_by_the_keyboard_is_at_its_top(self, admin: Open, completed_run: str) -> None:
        page = admin()
        expect(rows(page).first).to_be_visible()
        assert page.evaluate("document.activeElement === document.body")
        rows(page).first.get_by_role("link").press("Enter")
        expect(heading(page, "Timeline")).to_be_visible()  # until then, a key may meet a link that is being replaced
        page.get_by_role("link", name="Runs").press("Enter")
        expect(heading(page, "Runs")).to_be_focused()

    def test_goes_on_when_the_network_is_back(self, visitor: Callable[..., Visitor], people: People) -> None:
        team = people.team("Offline")
        people.runs(team, people.project(team, "Runs"), 3)
        visit = visitor()
        page = visit.open(token=people.user((team, "admin")))
        expect(rows(page)).to_have_count(3)
        page.wait_for_load_state("networkidle")
        visit.context.set_offline(True)
        expect(page.get_by_text("You are offline. This page updates by itself")).to_be_visible()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.get_by_text("Last updated at")).to_be_visible()
        expect(rows(page)).to_have_count(3)
        visit.context.set_offline(False)
        expect(page.get_by_text("Last updated at")).to_have_count(0)
        expect(page.get_by_text("You are offline")).to_have_count(0)


class TestWhoIsSignedIn:
    def test_a_member_is_told_who_may(self, visitor: Callable[..., Visitor], people: People, here: Any) -> None:
        page = visitor().open(token=people.user((here["team_id"], "member")))
        expect(heading(page, "This is for the team's admins")).to_be_visible()
        expect(page.get_by_text("Requires admin role or higher")).to_be_visible()

    def test_a_key_that_may_only_read_sees_no_button(
        self, visitor: Callable[..., Visitor], people: People, here: dict[str, Any], completed_run: str
    ) -> None:
        page = visitor().open(token=people.key(here["team_id"], "jobs:read"))
        expect(rows(page).first).to_be_visible()
        expect(page.get_by_role("button", name="Run job")).to_have_count(0)
        rows(page).first.get_by_role("link").click()
        expect(heading(page, "Timeline")).to_be_visible()
        expect(page.get_by_role("button", name="Run again")).to_have_count(0)

    def test_several_teams_are_switched_in_the_address(
        self, visitor: Callable[..., Visitor], people: People, here: dict[str, Any]
    ) -> None:
        other = people.team("Second")
        people.runs(other, people.project(other, "Runs"), 2)
        page = visitor().open(token=people.user((here["team_id"], "admin"), (other, "owner")))
        page.get_by_label("Team").select_option("second")
        page.wait_for_url("**/runs?team=second")
        expect(rows(page)).to_have_count(2)
        rows(page).first.get_by_role("link").click()
        run_id_of(page)
        page.get_by_role("link", name="Runs").click()
        expect(rows(page)).to_have_count(2)
        page.reload()
        expect(page.get_by_label("Team")).to_have_value("second")

    def test_in_no_team(self, visitor: Callable[..., Visitor], people: People) -> None:
        page = visitor().open(token=people.user())
        expect(heading(page, "You are not in a team yet")).to_be_visible()

    def test_in_a_team_without_projects_and_then_without_runs(
        self, visitor: Callable[..., Visitor], people: People
    ) -> None:
        team = people.team("Empty")
        page = visitor().open(token=people.user((team, "admin")))
        expect(heading(page, "No project yet")).to_be_visible()
        expect(page.get_by_role("button", name="Run job")).to_have_count(0)
        people.project(team, "First")
        page.reload()
        expect(heading(page, "Nothing has run yet")).to_be_visible()
        page.get_by_role("button", name="Run the first job").click()
        expect(page.get_by_role("dialog", name="Run job")).to_be_visible()


@pytest.mark.usefixtures("quiet")
def test_nobody_is_kept_out(visitor: Callable[..., Visitor], people: People, faults: Any, here: dict[str, Any]) -> None:
    """Every page and state in one visit."""
    page = visitor().open()
    expect(page.get_by_label("Token or agent key")).to_be_visible()
    page.get_by_label("Token or agent key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert_accessible(page)
    faults(**DOWN)
    live = triggered(here)["id"]
    page.get_by_label("Token or agent key").fill(here["admin_token"])
    page.keyboard.press("Enter")
    expect(rows(page).first).to_be_visible()
    assert_accessible(page)
    run_dialog(page)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("link", name="Open the existing run").click()
    expect(page.get_by_role("region", name="Why there is no progress")).to_contain_text("Waiting")
    assert_accessible(page)
    page.get_by_role("button", name="Cancel").click()
    assert_accessible(page)
    page.get_by_role("button", name="Cancel run").click()
    expect(page.locator(".heading .status")).to_have_text("Cancelled")
    assert_accessible(page)
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Escape")
    failing = people.project(here["team_id"], f"Failing {live[:8]}")
    failed = triggered(here, project_id=failing)["id"]
    until(lambda: ended(here, failed))
    for path, seen in {
        f"runs/{failed}": "Error",
        "": "Errors",
        "?status=cancelled&since=0m": "No runs match",
        "runs/00000000-0000-4000-8000-000000000001": "No such run",
    }.items():
        page.goto(here["dashboard_url"] + path)
        expect(heading(page, seen)).to_be_visible()
        assert_accessible(page)
    member = visitor().open(token=people.user((here["team_id"], "member")))
    expect(heading(member, "This is for the team's admins")).to_be_visible()
    assert_accessible(member)


def test_the_parameters_form_is_made_from_any_schema(visitor: Callable[..., Visitor], here: dict[str, Any]) -> None:
    """Today's job types have at most a choice and a switch, so the test inserts the schema into the API's answer."""
    params = {
        "type": "object",
        "required": ["size", "mode"],
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 9, "title": "Batch size"},
            "rate": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": 0.5},
            "mode": {"$ref": "#/$defs/Mode"},
            "label": {"type": "string", "maxLength": 8, "default": "x", "description": "For the log"},
            "extra": {"type": "array", "items": {"type": "integer"}},
            "dry_run": {"type": "boolean", "default": True},
        },
        "$defs": {"Mode": {"enum": ["fast", "careful"], "type": "string"}},
    }
    visit = visitor()

    def with_params(route: Any) -> None:
        body = route.fetch().json()
        type_of(body)["params"] = params
        route.fulfill(json=body)

    visit.context.route("**/v1/job-types", with_params)
    sent = []
    answer = {"status": 400, "json": {"error": "params.size must be 9 or less, got 12"}}
    visit.context.route(
        "**/jobs/trigger", lambda route: (sent.append(route.request.post_data_json), route.fulfill(**answer))
    )
    page = visit.open(token=here["admin_token"])
    run_dialog(page)
    run = page.get_by_role("button", name="Run", exact=True)
    expect(page.get_by_label("Dry run")).to_be_checked()
    expect(page.get_by_label("Rate")).to_have_value("0.5")
    run.click()  # the browser requires a value
    expect(page.get_by_label("Batch size")).to_be_focused()
    page.get_by_label("Batch size").fill("3")
    page.get_by_label("Mode").select_option(label="careful")
    page.get_by_label("Extra").fill("[1, 2")
    run.click()
    assert page.get_by_label("Extra").evaluate("field => field.validationMessage") == "This must be valid JSON."
    assert sent == []
    page.get_by_label("Extra").fill("[1, 2]")
    page.get_by_label("Rate").fill("")
    run.click()
    expect(page.get_by_role("alert")).to_have_text("params.size must be 9 or less, got 12")
    assert sent[0]["params"] == {"size": 3, "mode": "careful", "label": "x", "extra": [1, 2], "dry_run": True}
    # Numbers that a browser accepts and JSON does not, and values that look empty.
    page.get_by_label("Batch size").fill("007")
    page.get_by_label("Rate").fill("-.5")
    page.get_by_label("Extra").fill("  ")
    with page.expect_response("**/jobs/trigger"):
        run.click()
    assert sent[1]["params"] == {"size": 7, "rate": -0.5, "mode": "careful", "label": "x", "dry_run": True}
    # Its scrollbar would be where a click closes it.
    page.set_viewport_size({"width": 800, "height": 400})
    dialog = page.get_by_role("dialog")
    assert dialog.evaluate("dialog => dialog.scrollHeight <= dialog.clientHeight")
    page.get_by_role("button", name="Close", exact=True).last.scroll_into_view_if_needed()
    assert dialog.locator(".sheet").evaluate("sheet => sheet.scrollTop") > 0


@pytest.mark.parametrize("look", [{}, {"viewport": PHONE}], ids=["two teams", "one on a phone"])
def test_what_is_written_to_harm_is_shown_as_it_is(
    look: dict[str, Any], visitor: Callable[..., Visitor], people: People, stack_owner: Any
) -> None:
    """Hostile text does not run, load anything, exceed the window or reverse the direction of nearby words."""
    evil = "<img src=x onerror=alert(1)>\u202e\u2067" + "W" * 200
    team = people.team(f"{evil} {len(look)}")
    project = people.project(team, evil)
    people.runs(team, project, 1)
    stack_owner.run("UPDATE projects SET color = 'url(/assets/x)' WHERE id = :project", project=project)
    [[run_id]] = stack_owner.run(
        "UPDATE job_runs SET status = 'failed', result = NULL, error = :evil, triggered_by = :evil, progress ="
        " jsonb_build_object('processed', 9e15::bigint, 'total', 9e15::bigint, 'message', CAST(:evil AS text)),"
        " params = jsonb_build_object(CAST(:evil AS text), CAST(:evil AS text), 'url', 'javascript:alert(1)')"
        " WHERE team_id = :team RETURNING id",
        evil=evil,
        team=team,
    )
    visit = visitor(**look)
    visit.context.on("request", lambda request: visit.problems.append(request.url) if "/x" in request.url else None)
    visit.context.on("dialog", lambda dialog: visit.problems.append(dialog.message))

    def with_pause(route: Any) -> None:
        body = route.fetch().json()
        type_of(body)["paused"] = {"by": evil, "why": evil, "since": "2026-11-24T00:00:00.000Z"}
        route.fulfill(json=body)

    visit.context.route("**/v1/job-types", with_pause)
    teams = [team] if look else [team, people.team(f"{evil} {len(look)} other")]
    page = visit.open(token=people.user(*((each, "admin") for each in teams)))
    expect(rows(page)).to_have_count(1)
    assert not is_wider_than_the_window(page)
    page.set_viewport_size(PHONE)
    assert not is_wider_than_the_window(page)
    assert page.locator(".notice bdi").count() == 2
    page.get_by_role("button", name="Run job").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert barriers(page) == []
    page.keyboard.press("Escape")
    page.locator(".job a").click()
    assert run_id_of(page) == str(run_id)
    expect(heading(page, "Error")).to_be_visible()
    assert not is_wider_than_the_window(page)
    assert barriers(page) == []


@pytest.fixture
def pause(stack: Stack) -> Iterator[Callable[[], Any]]:
    """``pause()`` pauses the syncs until the test ends."""
    sync = {"job_type": "revenuecat_sync"}
    yield lambda: stack.invoke("OperateFunction", sync | {"command": "pause", "by": "ada", "why": "Provider is moving"})
    stack.invoke("OperateFunction", sync | {"command": "resume"})


def test_a_paused_type_says_so_and_is_not_run(admin: Open, pause: Callable[[], Any]) -> None:
    page = admin()
    run_dialog(page)
    pause()
    # The API knows of the pause; the dialog does not yet.
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("RevenueCat Sync is paused (since")
    expect(page.get_by_role("dialog").locator(".notice")).to_contain_text("by ada")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    assert barriers(page) == []
    page.keyboard.press("Escape")
    expect(page.locator(".notice")).to_contain_text("Provider is moving")


def test_it_asks_less_when_nothing_runs_and_nothing_when_nobody_looks(
    visitor: Callable[..., Visitor], people: People
) -> None:
    team = people.team("Idle")
    people.runs(team, people.project(team, "Runs"), 1)
    visit, asked = visitor(), []
    visit.context.on("request", lambda request: asked.append(request.url) if "/jobs?" in request.url else None)
    visit.context.clock.install()
    page = visit.open(token=people.user((team, "admin")))
    expect(rows(page)).to_have_count(1)
    asked.clear()
    page.clock.run_for(8_000)
    assert asked == []
    with page.expect_response("**/jobs?**"):
        page.clock.run_for(8_000)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    asked.clear()
    page.clock.run_for(120_000)
    assert asked == []
    page.evaluate("delete document.hidden")
    with page.expect_response("**/jobs?**"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_module_that_did_not_come_is_asked_for_again(visitor: Callable[..., Visitor]) -> None:
    visit = visitor()
    visit.context.route("**/parts.js", lambda route: route.fulfill(status=503), times=1)
    visit.context.clock.install()
    page = visit.open()
    expect(page.get_by_text("Trying again")).to_be_visible()
    page.clock.run_for(2_000)
    expect(page.get_by_label("Token or agent key")).to_be_visible()
    assert [problem for problem in visit.problems if "parts.js" not in problem] == []
    visit.problems.clear()


def test_a_module_that_does_not_work_is_told_and_not_asked_for_for_ever(visitor: Callable[..., Visitor]) -> None:
    visit, asked = visitor(), []
    script = {"content_type": "text/javascript", "body": "throw new Error('it is broken')"}
    visit.context.route("**/app.js", lambda route: (asked.append(route), route.fulfill(**script)))
    visit.context.clock.install()
    page = visit.open()
    for _ in range(2):
        expect(page.get_by_text("Trying again")).to_be_visible()
        with page.expect_event("load"):
            page.clock.run_for(2_000)
    expect(page.get_by_text("The dashboard did not load: it is broken")).to_be_visible()
    page.clock.run_for(60_000)
    expect(page.get_by_text("The dashboard did not load: it is broken")).to_be_visible()
    assert len(asked) == 3
    visit.problems.clear()


def test_the_time_left_is_said_only_when_it_is_known(visitor: Callable[..., Visitor]) -> None:
    page = visitor().open()
    module = page.locator("script").evaluate("script => new URL('pace.js', script.src).href")
    paces = page.evaluate(
        """async (module) => {
            const { paceOf } = await import(module);
            const seen = (...pairs) => pairs.map(([at, processed]) => ({ at: at * 1000, processed }));
            return [
                paceOf([], 9_000),
                paceOf(seen([0, 50]), 9_000),                     // no step yet
                paceOf(seen([0, 50], [1, 100]), 2_000),           // too short a time
                paceOf(seen([0, 50], [1, 100]), 10_000),          // a step, and nine seconds of silence after it
                paceOf(seen([0, 0], [100, 10], [110, 110]), 120_000),  // what was long ago does not count
            ];
        }""",
        module,
    )
    assert paces == [None, None, None, 5, 5]


def test_the_api_is_still_beside_it(here: dict[str, Any]) -> None:
    assert call(here, "GET", "/v1/health")[0] == 200
    assert call(here, "GET", "/nothing")[0] == 404
