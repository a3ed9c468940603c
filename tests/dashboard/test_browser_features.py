"""The page in browsers that lack or refuse a feature: it shows a sentence and raises no uncaught error."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.browser_world import Visitor, barriers, heading, rows, run_dialog, run_id_of

pytestmark = pytest.mark.browser

REFUSE = "throw new DOMException('Refused', 'SecurityError')"
GETTER = "Object.defineProperty({0}, '{1}', {{ configurable: true, get() {{ {2} }} }});"
# The place of each feature, and its name.
FEATURES = [
    ("window", "sessionStorage"),
    ("window", "crypto"),
    ("Crypto.prototype", "randomUUID"),
    ("Navigator.prototype", "clipboard"),
    ("Navigator.prototype", "serviceWorker"),
    ("window", "Notification"),
    ("window", "Intl"),
    ("window", "matchMedia"),
    ("window", "performance"),
    ("window", "IntersectionObserver"),
    ("window", "ResizeObserver"),
    ("window", "MutationObserver"),
    ("window", "structuredClone"),
    ("window", "requestIdleCallback"),
    ("window", "BroadcastChannel"),
    ("window", "PopStateEvent"),
    ("AbortSignal", "timeout"),
    ("AbortSignal", "any"),
    ("HTMLDialogElement.prototype", "showModal"),
    ("HTMLDialogElement.prototype", "close"),
    ("Element.prototype", "closedBy"),
    ("HTMLElement.prototype", "translate"),
    ("JSON", "rawJSON"),
]
# Playwright itself needs these on each page.
NEEDED_TO_TEST = ("Intl", "performance", "requestIdleCallback")
MISSING = {name: GETTER.format(owner, name, "return undefined") for owner, name in FEATURES}
REFUSED = {name: GETTER.format(owner, name, REFUSE) for owner, name in FEATURES if name not in NEEDED_TO_TEST}
BROKEN = {
    "everything missing": "".join(MISSING.values()),
    "everything refused": "".join(REFUSED.values()),
    "storage refused": REFUSED["sessionStorage"],
    "dialogs missing": MISSING["showModal"] + MISSING["close"],
    "without https": MISSING["randomUUID"] + MISSING["clipboard"],
    "storage null": GETTER.format("window", "sessionStorage", "return null"),
    "storage full": GETTER.format(
        "window",
        "sessionStorage",
        "return new Proxy({}, { set() { throw new DOMException('Full', 'QuotaExceededError') } })",
    ),
    "clipboard denied": (
        "if (window.Clipboard) Clipboard.prototype.writeText = async () => { throw new DOMException('No') };"
    ),
    "addresses refused": f"History.prototype.pushState = History.prototype.replaceState = () => {{ {REFUSE} }};",
    "formats refused": f"Intl.DateTimeFormat = Intl.NumberFormat = function () {{ {REFUSE} }};",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_visit_without_it(
    name: str, visitor: Callable[..., Visitor], here: dict[str, Any], completed_run: str
) -> None:
    """Sign in, read and filter the list, send the dialog, open a run and copy its id."""
    visit, keys = visitor(), []
    visit.context.add_init_script(
        f"""(() => {{ {BROKEN[name]} }})();
        addEventListener("unhandledrejection", (event) => console.error("rejected:", String(event.reason)));"""
    )
    visit.context.route(
        "**/jobs/trigger",
        lambda route: (
            keys.append(route.request.headers["idempotency-key"]),
            route.fulfill(status=400, json={"error": "Not today"}),
        ),
    )
    run_id = completed_run
    page = visit.open("?status=completed")
    page.get_by_label("Token or agent key").fill(here["agent_key"])
    page.keyboard.press("Enter")
    expect(rows(page).first).to_be_visible()
    run_dialog(page)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_have_text("Not today")
    page.get_by_role("button", name="Close", exact=True).last.click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(f'a[href*="{run_id}"]').click()
    field = page.get_by_label("Token or agent key")
    expect(field.or_(heading(page, "Timeline"))).to_be_visible()
    if field.is_visible():
        # Without a changeable URL and without storage for the token, each page is a new visit.
        field.fill(here["agent_key"])
        page.keyboard.press("Enter")
    expect(heading(page, "Timeline")).to_be_visible()
    assert run_id_of(page) == run_id
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Copy run id").click()
    by_hand = page.get_by_label("Text of the run id")
    expect(by_hand.or_(page.get_by_text("Copied run id"))).to_be_attached()
    if by_hand.is_visible():
        expect(page.get_by_text("The browser does not allow this page to copy.")).to_be_visible()
        selected = by_hand.evaluate("field => field.value.slice(field.selectionStart, field.selectionEnd)")
        assert selected == run_id
        # Axe itself needs some of the features that other cases refuse.
        assert name != "clipboard denied" or barriers(page) == []
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token or agent key")).to_be_visible()
    assert re.fullmatch(r"[\x21-\x7e]{20,255}", keys[0])


def test_a_module_that_did_not_come_is_told_where_tries_cannot_be_counted(visitor: Callable[..., Visitor]) -> None:
    """Without a stored count, the page would try for ever."""
    visit, asked = visitor(), []
    visit.context.add_init_script(BROKEN["addresses refused"])
    visit.context.route("**/parts.js", lambda route: (asked.append(route), route.fulfill(status=503)))
    visit.context.clock.install()
    page = visit.open()
    expect(page.get_by_text("The dashboard did not load:")).to_be_visible()
    page.clock.run_for(60_000)
    assert len(asked) == 1
    visit.problems.clear()
