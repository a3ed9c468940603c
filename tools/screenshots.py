"""``make screenshots``: create the README's pictures of the dashboard, with a separate stack.

``python -m tools.screenshots FOLDER`` also takes pictures of every state in each look, for review.
"""

import json
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pg8000.native
import urllib3
from playwright.sync_api import Page, sync_playwright

from local.run import call
from local.stack import Stack, running
from tests.support.browser_world import FLAGS, PATIENCE_MS, PHONE, People, executable, jwt_secret
from tests.support.stack_world import SHORT, ended, free_ports, triggered, until

IMAGES = Path("docs/images")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "phone": {"color_scheme": "light", "viewport": PHONE | {"width": 390}},
    "phone-dark": {"color_scheme": "dark", "viewport": PHONE | {"width": 390}},
}
WINDOW = {"width": 1120, "height": 600}
DOWN = {"status": 503, "path": "entitlements"}
SLOW = {"latency_s": 0.06, "path": "customers"}

# History for the picture: a typical week of a team.
HISTORY = """
WITH projects_made AS (
    INSERT INTO projects (team_id, name, slug, color) VALUES
        (:team_id, 'Space Rocks', 'space-rocks', '#e8590c'), (:team_id, 'Tiny Planet', 'tiny-planet', '#0ca678'),
        (:team_id, 'Orbit', 'orbit', '#ae3ec9')
    RETURNING id, slug
)
INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, created_at, started_at, completed_at,
                      progress, result, error)
SELECT gen_random_uuid(), 'revenuecat_sync', past.status, CAST(:team_id AS uuid), projects_made.id,
       'manual:' || past.who, now() - past.ago, now() - past.ago, now() - past.ago + past.took,
       jsonb_build_object('processed', past.processed, 'total', past.total, 'message', past.message),
       CASE WHEN past.status = 'completed' THEN '{"synced": 1}'::jsonb END, past.error
FROM (VALUES
    ('space-rocks', 'completed', 'user:' || CAST(:user_id AS text), interval '38 min', interval '252 s', 4812, 4812,
     'Synced 4,655 users, 157 skipped', NULL),
    ('tiny-planet', 'failed', 'api_key:' || CAST(:key_id AS text), interval '2 h', interval '9 s', 250, 1930,
     'Synced 241 users, 9 skipped', 'RevenueCat refused the API key. Store a new one for this project.'),
    ('orbit', 'cancelled', 'user:' || CAST(:user_id AS text), interval '5 h', interval '1 min 3 s', 1125, 12400,
     'Synced 1,090 users, 35 skipped', NULL),
    ('orbit', 'completed', 'user:' || CAST(:user_id AS text), interval '26 h', interval '11 min 40 s', 12386, 12386,
     'Synced 12,001 users, 385 skipped', NULL),
    ('space-rocks', 'completed', 'api_key:' || CAST(:key_id AS text), interval '2 d', interval '4 min 2 s', 4790, 4790,
     'Synced 4,634 users, 156 skipped', NULL)
) AS past (slug, status, who, ago, took, processed, total, message, error) JOIN projects_made USING (slug)
"""
# The sweep counts each ending once, up to now. These endings are older than the stack.
UNCOUNTED = "UPDATE job_sweep SET counted_until = now() - interval '14 days'"


def main(states: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-screenshots-") as folder, sync_playwright() as playwright:
        stack = Stack(Path(folder) / "local", ports=free_ports(), parameters=SHORT | {"SliceBudget": "6"})
        with running(stack), closing(_owner(stack)) as owner:
            here = json.loads(stack.file.read_text())
            browser = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
            camera = Camera(browser, here)
            _make_history(owner, here)
            _readme(camera, here)
            if states:
                _states(camera, here, People(owner, jwt_secret(stack)), stack, folder=states)
            browser.close()


class Camera:
    def __init__(self, browser: Any, here: dict[str, Any]):
        self._browser, self._here = browser, here

    def open(self, path: str = "", *, token: str | None = None, **options: Any) -> Page:
        context = self._browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        page: Page = context.new_page()
        signed = f"#token={self._here['admin_token'] if token is None else token}" if token != "" else ""
        page.goto(self._here["dashboard_url"] + path + signed)
        return page


def _readme(camera: Camera, here: dict[str, Any]) -> None:
    faults(here, **DOWN)
    run_id = triggered(here, notify=True)["id"]
    until(lambda: "waiting" in outcomes(here, run_id))
    faults(here, **SLOW)
    look: dict[str, Any] = {
        "viewport": WINDOW,
        "device_scale_factor": 2,
        "color_scheme": "light",
        "reduced_motion": "reduce",
    }
    listed, shown = camera.open("runs", **look), camera.open(f"runs/{run_id}", **look)
    shown.get_by_text("handed over").first.wait_for()
    until(lambda: shown.get_by_text("at work").is_visible() and shown.get_by_text(re.compile(" left$")).is_visible())
    # The page asks for the run and its timeline at the same time: the next answers agree.
    shown.wait_for_timeout(2200)
    shown.screenshot(path=IMAGES / "dashboard-run.png")
    listed.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    listed.wait_for_timeout(1000)
    listed.screenshot(path=IMAGES / "dashboard-runs.png", clip={"x": 0, "y": 0, "width": 1120, "height": 530})
    faults(here)
    until(lambda: ended(here, run_id))
    first = camera.open(**look | {"viewport": WINDOW | {"height": 760}})
    first.locator(".strip").first.wait_for()
    first.get_by_role("button", name="Hide").click()
    first.wait_for_timeout(1000)
    first.screenshot(path=IMAGES / "dashboard-overview.png")


def _run_dialog(page: Page) -> None:
    page.get_by_role("button", name="Run job").click()
    page.locator("#type").select_option("revenuecat_sync")


def _states(camera: Camera, here: dict[str, Any], people: People, stack: Stack, *, folder: Path) -> None:
    """Take a picture when its page has been still for a while. People review these pictures; this is not a test."""
    folder.mkdir(parents=True, exist_ok=True)
    empty, ghost = people.team("Empty"), people.user()
    failing = people.project(here["team_id"], "No integration")
    failed = triggered(here, project_id=failing)["id"]
    until(lambda: ended(here, failed))
    [member, nobody] = [people.user((here["team_id"], "member")), people.user((empty, "admin"))]
    done = triggered(here)["id"]
    until(lambda: ended(here, done))
    faults(here, **DOWN)
    live = triggered(here)["id"]
    until(lambda: "waiting" in outcomes(here, live))
    for name, look in LOOKS.items():

        def take(
            state: str,
            path: str = "",
            *,
            then: Callable[[Page], object] | None = None,
            name: str = name,
            look: Any = look,
            **who: Any,
        ) -> None:
            page = camera.open(path, **look, **who)
            page.wait_for_timeout(1500)
            if then:
                then(page)
                page.wait_for_timeout(700)
            page.screenshot(path=folder / f"{state}-{name}.png", full_page=True)
            page.unroute_all(behavior="ignoreErrors")
            page.context.close()

        def refused(page: Page) -> None:
            _run_dialog(page)
            page.get_by_role("button", name="Run", exact=True).click()

        def wrong(page: Page) -> None:
            page.get_by_label("Token or agent key").fill("wrong")
            page.keyboard.press("Enter")

        def offline(page: Page) -> None:
            page.context.set_offline(True)
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

        def loading(page: Page) -> None:
            page.route("**/jobs?**", lambda route: None)
            page.reload()

        take("signin", token="", then=wrong)
        take("list")
        take("list-loading", then=loading)
        take("list-nothing", "?status=pending&since=1h")
        take("offline", then=offline)
        take("dialog", then=_run_dialog)
        take("dialog-409", then=refused)
        take("waiting", f"runs/{live}")
        take("cancel", f"runs/{live}", then=lambda page: page.get_by_role("button", name="Cancel").click())
        take("failed", f"runs/{failed}")
        take("done", f"runs/{done}")
        take("missing", "runs/00000000-0000-4000-8000-000000000001")
        take("forbidden", token=member)
        take("no-team", token=ghost)
        take("no-project", token=nobody)
    stack.invoke("OperateFunction", PAUSE)
    for name, look in LOOKS.items():
        page = camera.open(**look)
        _run_dialog(page)
        page.wait_for_timeout(500)
        page.screenshot(path=folder / f"paused-{name}.png")
    call(here, "POST", f"/v1/jobs/{live}/cancel")
    page = camera.open(f"runs/{live}", **LOOKS["light"])
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Run again").click()
    page.wait_for_timeout(500)
    page.screenshot(path=folder / "rerun-light.png")


PAUSE = {
    "command": "pause",
    "job_type": "revenuecat_sync",
    "by": "ada",
    "why": "RevenueCat is moving house",
}


def _make_history(owner: pg8000.native.Connection, here: dict[str, Any]) -> None:
    [[user_id]] = owner.run("SELECT id FROM users WHERE email = 'owner@demo.test'")
    [[key_id]] = owner.run("SELECT id FROM api_keys WHERE team_id = :team_id LIMIT 1", team_id=here["team_id"])
    owner.run(HISTORY, team_id=here["team_id"], user_id=str(user_id), key_id=str(key_id))
    owner.run(UNCOUNTED)


def _owner(stack: Stack) -> pg8000.native.Connection:
    return stack.connect()


def faults(here: dict[str, Any], **fields: Any) -> None:
    url = here["revenuecat_url"].removesuffix("/v2") + "/_sandbox/faults"
    urllib3.request("DELETE", url)
    if fields:
        urllib3.request("POST", url, json={"times": None} | fields)


def outcomes(here: dict[str, Any], run_id: str) -> list[str]:
    return [each["outcome"] for each in call(here, "GET", f"/v1/jobs/{run_id}/timeline")[1]["timeline"]]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
