"""The page while other software changes its DOM, as translators, password managers and extensions do."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from local.run import call
from tests.support.browser_world import DOWN, Open, Visitor, heading, look_again, rows, run_dialog
from tests.support.stack_world import ended, triggered, until

pytestmark = pytest.mark.browser

EACH_TEXT = """(change) => {
    const walker = document.createTreeWalker(document.getElementById("app"), NodeFilter.SHOW_TEXT), texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    texts.filter((text) => text.data.trim() && !text.parentElement.closest("font")).forEach(change);
}"""
EACH_ELEMENT = """(change) => [...document.querySelectorAll("#app *")].forEach(change)"""
# Google Translate replaces a text node with two nested elements.
TRANSLATE = """(text) => {
    const outer = document.createElement("font"), inner = document.createElement("font");
    inner.textContent = text.data;
    outer.append(inner);
    text.replaceWith(outer);
}"""
DISTURBANCES = {
    "translated": f"() => ({EACH_TEXT})({TRANSLATE})",
    "translated as it comes": f"""() => {{
        const translate = () => ({EACH_TEXT})({TRANSLATE});
        translate();
        new MutationObserver(translate).observe(document.getElementById("app"), {{ childList: true, subtree: true }});
    }}""",
    "texts removed": f"() => ({EACH_TEXT})((text) => text.remove())",
    "elements removed": f"() => ({EACH_ELEMENT})((element, index) => index % 3 || element.remove())",
    "elements replaced": f"""() => ({EACH_ELEMENT})((element, index) => {{
        if (index % 3 === 0) element.replaceWith(element.cloneNode(true));
    }})""",
    "everything removed": "() => document.getElementById('app').replaceChildren()",
    "siblings inserted": f"""() => ({EACH_ELEMENT})((element) => {{
        element.before(document.createElement("i"));
        element.after(document.createTextNode(" "));
    }})""",
    "inputs wrapped": """() => [...document.querySelectorAll("input, select, button")].forEach((field) => {
        const wrapper = document.createElement("div");
        field.replaceWith(wrapper);
        wrapper.append(field, document.createElement("i"));
    })""",
    "attributes of its own": f"""() => ({EACH_ELEMENT})((element) => {{
        element.setAttribute("data-extension", "1");
        element.classList.add("extension");
    }})""",
}


def shown(page: Page) -> str:
    """Return the page's words without spaces and relative times, which depend on the moment."""
    text = page.locator("#app").inner_text()
    return re.sub(r"just now|<?\d+ (ms|s|min)( \d+ s)?( ago)?|\s", "", text)


@pytest.fixture(params=DISTURBANCES)
def disturb(request: pytest.FixtureRequest) -> Callable[[Page], None]:
    return lambda page: page.evaluate(DISTURBANCES[request.param])


@pytest.mark.usefixtures("quiet")
def test_a_run_is_shown_to_its_end(
    disturb: Callable[[Page], None], admin: Open, faults: Any, here: dict[str, Any]
) -> None:
    faults(**DOWN)
    run_id = triggered(here)["id"]
    page = admin(f"runs/{run_id}")
    expect(page.get_by_role("region", name="Why there is no progress")).to_contain_text("It is waiting for")
    disturb(page)
    call(here, "POST", f"/v1/jobs/{run_id}/cancel")
    until(lambda: ended(here, run_id))
    look_again(page)
    expect(page.locator(".heading .status")).to_have_text("Cancelled")
    expect(page).to_have_title("RevenueCat Sync cancelled · Nightshift")
    after = admin(f"runs/{run_id}")
    expect(after.locator(".heading .status")).to_have_text("Cancelled")
    expect(after.get_by_text("owner@demo.test")).to_be_visible()
    assert shown(page) == shown(after)


@pytest.mark.parametrize("disturb", ["translated as it comes", "elements removed", "everything removed"], indirect=True)
@pytest.mark.usefixtures("quiet")
def test_the_list_and_its_way_to_a_run_and_back(
    disturb: Callable[[Page], None], admin: Open, faults: Any, here: dict[str, Any]
) -> None:
    faults(**DOWN)
    ended_first = triggered(here)["id"]
    page = admin()
    expect(rows(page).first).to_contain_text(re.compile("Pending|Running"))
    disturb(page)
    call(here, "POST", f"/v1/jobs/{ended_first}/cancel")
    until(lambda: ended(here, ended_first))
    look_again(page)
    expect(rows(page).first).to_contain_text("Cancelled")
    rows(page).first.get_by_role("link").click()
    expect(heading(page, "Timeline")).to_be_visible()
    disturb(page)
    page.get_by_role("link", name="Runs").click()
    expect(rows(page).first).to_contain_text("Cancelled")
    page.get_by_label("Status").select_option("completed")
    page.get_by_label("Status").select_option("cancelled")
    expect(page.locator(".runs")).not_to_have_attribute("aria-busy", "true")
    after = admin("?status=cancelled")
    expect(rows(after).first).to_contain_text("Cancelled")
    assert shown(page) == shown(after)


@pytest.mark.parametrize(
    "disturb", ["translated", "texts removed", "elements replaced", "inputs wrapped"], indirect=True
)
@pytest.mark.usefixtures("quiet")
def test_a_form_sends_what_it_shows(
    disturb: Callable[[Page], None], visitor: Callable[..., Visitor], faults: Any, here: dict[str, Any]
) -> None:
    visit, sent = visitor(), []
    visit.context.route(
        "**/jobs/trigger",
        lambda route: (sent.append(route.request.post_data_json), route.fulfill(status=400, json={"error": "No"})),
    )
    page = visit.open(token=here["admin_token"])
    run_dialog(page)
    disturb(page)
    page.get_by_label("Include sandbox").check()
    page.get_by_label("Notify me when done").check()
    disturb(page)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("No")
    assert (sent[0]["params"], sent[0]["notify"]) == ({"include_sandbox": True, "mode": "incremental"}, True)
    assert page.get_by_role("dialog").evaluate("dialog => dialog.matches(':modal')")
    page.get_by_role("button", name="Close", exact=True).last.click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_extension_that_insists_does_not_stop_the_page(admin: Open) -> None:
    """An extension that removes an element whenever it appears wins, and the rest of the page works."""
    page = admin()
    expect(rows(page).first).to_be_visible()
    page.evaluate("""() => {
        const hide = () => document.querySelectorAll(".whoami").forEach((element) => element.remove());
        new MutationObserver(hide).observe(document.getElementById("app"), { childList: true, subtree: true });
        hide();
    }""")
    page.get_by_label("Status").select_option("completed")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    expect(page.get_by_label("Status")).to_have_value("completed")
    expect(page.locator(".whoami")).to_have_count(0)


def test_numbers_ids_and_names_are_not_for_translators(admin: Open, completed_run: str) -> None:
    run_id = completed_run
    page = admin()
    expect(rows(page).first).to_be_visible()
    for selector in (".status", ".project", ".figures", ".whoami", "td.by"):
        for element in page.locator(selector).all():
            assert element.evaluate("element => element.translate") is False, selector
    page.goto(f"{page.url}/{run_id}")
    expect(page.locator("aside code", has_text=run_id)).to_have_js_property("translate", False)
    assert page.locator("html").get_attribute("lang") == "en"


def test_what_cannot_be_drawn_is_said_and_drawn_again(visitor: Callable[..., Visitor], here: dict[str, Any]) -> None:
    visit = visitor()
    visit.context.route("**/jobs?*", lambda route: route.fulfill(json={"job_runs": [None], "has_more": False}), times=1)
    page = visit.open("?status=completed", token=here["admin_token"])
    expect(heading(page, "This page could not be displayed")).to_be_visible()
    page.get_by_role("button", name="Display it again").click()
    expect(heading(page, "Runs")).to_be_visible()
    expect(page.get_by_label("Status")).to_have_value("completed")
    assert all(problem.startswith("console: TypeError") for problem in visit.problems)
    visit.problems.clear()
