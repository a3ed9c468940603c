"""A page of another site in the developer's browser attacks the running stack: a real Chromium tries all it can."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
from playwright.sync_api import Browser, Page, expect

from local.run import call
from tests.support import http_server
from tests.support.browser_world import PATIENCE_MS

pytestmark = pytest.mark.browser

FORM = """<form method="post" enctype="text/plain" action="{url}">
<input name='{{"status": 500, "times": null, "path": "' value='"}}'>
<button>Win a prize</button></form><a href="{link}">Look</a>"""

# Resolves to what the page could read. The test itself checks the effects on the server.
TRY = """async ([url, body, kind]) => {
  const wish = body ? {method: "POST", body, headers: {"Content-Type": "text/plain"}} : {};
  if (kind === "socket") return new Promise((done) => {
    const socket = new WebSocket(url.replace("http", "ws"));
    socket.onopen = () => done("open");
    socket.onerror = () => done("error");
  });
  if (kind === "image" || kind === "frame") return new Promise((done) => {
    const element = document.createElement(kind === "image" ? "img" : "iframe");
    element.onload = element.onerror = (event) => done(event.type);
    element.src = url;
    document.body.append(element);
  });
  try {
    return (await fetch(url, {...wish, mode: kind, credentials: "include"})).type;
  } catch (error) {
    return "error";
  }
}"""


# localhost makes the page another site; 127.0.0.1 makes it another origin on the same site.
@pytest.fixture(params=["localhost", "127.0.0.1"])
def stranger(browser: Browser, here: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open a page from another server."""
    faults = here["revenuecat_url"].removesuffix("/v2") + "/_sandbox/faults"
    content = FORM.format(url=faults, link=here["dashboard_url"]).encode()

    page_of_another_site = http_server.Reply(200, content, {"Content-Type": "text/html"})
    with http_server.serve(lambda asked: page_of_another_site) as url:
        context = browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(f"{url.replace('127.0.0.1', request.param)}/")
        yield page
        context.close()


@pytest.fixture
def as_before(here: dict[str, Any]) -> Iterator[None]:
    """Check afterwards that the stack works: its API, its functions, and a sandbox without faults."""
    yield
    assert call(here, "GET", "/v1/auth/whoami")[0] == 200
    customer = f"{here['revenuecat_url']}/projects/proj1a2b3c4d/customers/user_000001"
    answer = urllib3.request("GET", customer, headers={"Authorization": "Bearer sk_sandbox"})
    assert answer.status == 200, answer.data


@pytest.mark.parametrize(
    ("place", "path", "body"),
    [
        ("aws_endpoint_url", "/_ministack/reset", " "),
        ("aws_endpoint_url", "/_ministack/health", ""),
        ("aws_endpoint_url", "/?Action=DeleteStack&StackName=nightshift&Version=2010-05-15", ""),
        ("aws_endpoint_url", "/", "Action=DeleteStack&StackName=nightshift&Version=2010-05-15"),
        ("api_url", "/v1/health", ""),
        ("revenuecat_url", "/../_sandbox/faults", json.dumps({"status": 500, "times": None})),
        ("revenuecat_url", "/../_sandbox/stats", ""),
        ("mailbox_url", "", ""),
        ("mailbox_page_url", "", ""),
    ],
)
def test_it_calls_nothing(
    stranger: Page, here: dict[str, Any], as_before: None, place: str, path: str, body: str
) -> None:
    url = here[place] + path
    assert stranger.evaluate(TRY, [url, body, "cors"]) == "error"
    # The request is sent, but the page cannot read the answer; a form can do the same.
    assert stranger.evaluate(TRY, [url, body, "no-cors"]) == "opaque"
    assert stranger.evaluate(TRY, [url, "", "image"]) == "error"
    assert stranger.evaluate(TRY, [url, "", "socket"]) == "error"


def test_its_form_is_refused(stranger: Page, here: dict[str, Any], as_before: None) -> None:
    with stranger.expect_response("**/_sandbox/faults") as answer:
        stranger.get_by_text("Win a prize").click()
    assert answer.value.status == 403


def test_it_frames_nothing(stranger: Page, here: dict[str, Any]) -> None:
    for place in ("dashboard_url", "mailbox_page_url"):
        with stranger.expect_response(f"{here[place]}*") as answer:
            stranger.evaluate(TRY, [here[place], "", "frame"])
        assert answer.value.status == 403


def test_its_link_leads_to_the_dashboard(stranger: Page, here: dict[str, Any]) -> None:
    stranger.get_by_text("Look").click()
    expect(stranger).to_have_title("Sign in · Nightshift")
    assert stranger.url.startswith(here["dashboard_url"])
    assert urlsplit(stranger.url).netloc == urlsplit(here["dashboard_url"]).netloc
