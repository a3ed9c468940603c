"""Sign-in by code, from the mail in the mailbox to the end of all sessions, and by the operator's link."""

import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from local.stack import Stack
from tests.support.browser_world import (
    People,
    Visitor,
    ask_for_code,
    assert_accessible,
    enter_code,
    heading,
    look_again,
)
from tests.support.stack_world import until

pytestmark = pytest.mark.browser


def test_from_the_code_to_the_end_of_all_sessions(
    visitor: Callable[..., Visitor],
    people: People,
    admin_of: Callable[..., str],
    codes_to: Callable[[str], list[str]],
) -> None:
    teams = [people.team(f"Owls {uuid.uuid4().hex[:6]}") for _ in range(2)]
    people.project(teams[0], "Acme")
    people.runs(teams[0], people.project(teams[0], "Beta"), 1)
    email = admin_of(*teams)
    [[run_id]] = people.owner.run("SELECT id FROM job_runs WHERE team_id = :id", id=teams[0])
    visit = visitor()
    # The link of a mail, opened while signed out.
    page = visit.open(f"runs/{run_id}")
    expect(page.get_by_label("E-mail address")).to_be_focused()
    assert_accessible(page)
    ask_for_code(page, email.upper())
    assert_accessible(page)
    [code] = until(lambda: codes_to(email))
    wrong = f"{(int(code.replace(' ', '')) + 1) % 10**8:08}"
    enter_code(page, wrong)
    expect(page.get_by_role("alert")).to_contain_text("This code is wrong, or no longer valid.")
    assert_accessible(page)
    # The tab still waits for its code after it was loaded again.
    page.reload()
    enter_code(page, code)
    expect(heading(page, "RevenueCat Sync")).to_be_visible()
    assert str(run_id) in page.url
    assert page.evaluate("sessionStorage.length") == 0
    [cookie] = visit.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (
        "__Host-nightshift",
        True,
        True,
        "Strict",
        "/",
    )
    assert page.evaluate("document.cookie") == ""

    second = visit.open("schedules")
    expect(second.get_by_role("heading", name="Schedules")).to_be_visible()
    second.get_by_role("combobox", name="Team").select_option(index=1)
    expect(second.get_by_role("heading", name="Schedules")).to_be_visible()
    with visit.context.expect_page() as opened:
        second.get_by_role("link", name="Runs").click(modifiers=["ControlOrMeta"])
    expect(opened.value.get_by_role("combobox", name="Team")).to_be_visible()

    other = visitor()
    elsewhere = other.open()
    ask_for_code(elsewhere, email)
    enter_code(elsewhere, until(lambda: codes_to(email)[1:])[0])
    expect(elsewhere.locator("button.whoami")).to_have_text(email)

    second.locator("button.whoami").click()
    dialog = second.get_by_role("dialog", name="Your sessions")
    expect(dialog.get_by_role("listitem")).to_have_count(2)
    expect(dialog).to_contain_text("this browser")
    assert_accessible(second)
    dialog.get_by_role("button", name="End the session").click()
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    look_again(elsewhere)
    expect(elsewhere.get_by_role("alert")).to_have_text("The session has ended. Sign in again.")
    ask_for_code(elsewhere, email)
    enter_code(elsewhere, until(lambda: codes_to(email)[2:])[0])
    expect(elsewhere.locator("button.whoami")).to_have_text(email)

    dialog.get_by_role("button", name="Sign out everywhere").click()
    for tab in (second, page, opened.value):
        expect(tab.get_by_label("E-mail address")).to_be_visible()
    look_again(elsewhere)
    expect(elsewhere.get_by_role("alert")).to_have_text("The session has ended. Sign in again.")
    other.context.clear_cookies()


def test_the_operators_link_signs_in_by_a_click_and_once(
    visitor: Callable[..., Visitor], stack: Stack, people: People, admin_of: Callable[..., str]
) -> None:
    email = admin_of(people.team(f"Owls {uuid.uuid4().hex[:6]}"))
    made = stack.invoke("SetupFunction", {"command": "sign_in_link", "email": email})
    visit = visitor()
    fragment = "#" + made["link"].partition("#")[2]
    assert made["link"] == f"{visit.url}{fragment}"
    sent: list[str] = []
    visit.context.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    page = visit.open(fragment)
    expect(page.get_by_text("The link that you opened signs this browser in, once.")).to_be_visible()
    assert_accessible(page)
    assert "#" not in page.url
    assert not [each for each in sent if each.startswith("POST")]
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text(email)).to_be_visible()
    again = visit.open(fragment)
    expect(again.get_by_text("It replaces the session that you have here.")).to_be_visible()
    again.get_by_role("button", name="Sign in").click()
    expect(again.get_by_role("alert")).to_contain_text("This link is no longer valid")
    again.get_by_role("button", name="Stay signed in").click()
    expect(again.get_by_text(email)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("E-mail address")).to_be_visible()
    expect(again.get_by_label("E-mail address")).to_be_visible()
    assert not [each for each in sent if fragment[9:] in each]


def test_without_an_answer_the_person_is_still_signed_in(
    visitor: Callable[..., Visitor], stack: Stack, people: People, admin_of: Callable[..., str]
) -> None:
    email = admin_of()
    made = stack.invoke("SetupFunction", {"command": "sign_in_link", "email": email})
    visit = visitor()
    page = visit.open("#" + made["link"].partition("#")[2])
    page.get_by_role("button", name="Sign in").click()
    expect(heading(page, "You are not in a team yet")).to_be_visible()
    visit.context.route(
        "**/sessions/current", lambda route: route.fulfill(status=503, json={"error": "Busy."}), times=1
    )
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("alert")).to_contain_text("You are still signed in. Busy.")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("E-mail address")).to_be_visible()


def test_a_refusal_of_the_session_before_leaves_the_newer_one(
    visitor: Callable[..., Visitor], stack: Stack, admin_of: Callable[..., str]
) -> None:
    made = stack.invoke("SetupFunction", {"command": "sign_in_link", "email": admin_of()})
    page = visitor().open("#" + made["link"].partition("#")[2])
    page.get_by_role("button", name="Sign in").click()
    expect(heading(page, "You are not in a team yet")).to_be_visible()
    module = page.locator("script").evaluate("script => new URL('api.js', script.src).href")
    # Another tab signs in while the answer is on its way.
    mark = page.evaluate(
        """async (module) => {
            const { api } = await import(module);
            const { fetch } = window;
            window.fetch = async () => {
                localStorage["nightshift.session"] = "newer";
                return Response.json({ error: "The session has ended." }, { status: 401 });
            };
            await api("GET", "v1/auth/whoami").catch(() => {});
            window.fetch = fetch;
            return localStorage["nightshift.session"];
        }""",
        module,
    )
    assert mark == "newer"
    page.reload()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("E-mail address")).to_be_visible()


def test_where_codes_are_off_only_tokens_are_asked_for(visitor: Callable[..., Visitor]) -> None:
    visit = visitor()
    visit.context.route("**/v1/auth/codes", lambda route: route.fulfill(status=404, json={"error": "Off."}))
    page = visit.open()
    expect(page.get_by_label("Token or agent key")).to_be_focused()
    expect(page.get_by_label("E-mail address")).to_have_count(0)
    assert_accessible(page)
