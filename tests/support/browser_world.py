"""A real Chromium with the whole local stack, and rules that every visit of the dashboard must keep."""

import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jwt
import pg8000.native
import pytest
import urllib3
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from local import chromium
from local.deployment.deploy import STACK
from local.run import call
from local.stack import Stack
from nightshift.tenants.auth import key_hash
from tests.support.fixtures import has_room
from tests.support.stack_world import ended, triggered, until

# Without these flags, Chromium contacts its vendor's servers at every start; a container has no sandbox and no GPU for
# it; and each test's profile would start a process of its own for its pages.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--renderer-process-limit=1",
]
# Playwright lets Chromium's processes share memory through files on the disk, because a container may have little room
# in memory. Each page costs a tenth more CPU then.
IN_FILES = ["--disable-dev-shm-usage"]
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 360, "height": 740}
# Chromium draws each frame of an animation on the processor.
USUAL: dict[str, Any] = {"viewport": DESKTOP, "reduced_motion": "reduce"}
# A first call waits until its function has started, which can take long on a busy machine.
PATIENCE_MS = 300_000
# A fault that makes RevenueCat unavailable, so that syncs wait.
DOWN = {"status": 503, "path": "entitlements"}
Open = Callable[..., Page]
# The subject of the mail with a code.
CODE = re.compile(r"^(\d{4} \d{4}): sign-in code$", re.MULTILINE)

expect.set_options(timeout=PATIENCE_MS)


def executable() -> str:
    """Return the path of a Chromium, or end the tests with a sentence."""
    found = chromium.find()
    if found is None:
        pytest.exit(
            f"No Chromium found on PATH ({', '.join(chromium.COMMANDS)}). Install it (on Debian: `apt-get install "
            "chromium`) or set NIGHTSHIFT_CHROMIUM to its path.",
            returncode=1,
        )
    return found


@dataclass
class Visitor:
    """One browser profile. ``problems`` collects forbidden events: errors, refused content, requests to other hosts."""

    profile: BrowserContext
    url: str
    problems: list[str] = field(default_factory=list)
    is_changed: bool = False

    def __post_init__(self) -> None:
        self.profile.set_default_timeout(PATIENCE_MS)
        self.profile.on("page", self._watch)
        self.profile.on("request", self._see)

    @property
    def context(self) -> BrowserContext:
        """Return the profile to a test that may change it. No later test gets it then."""
        self.is_changed = True
        return self.profile

    def open(self, path: str = "runs", *, token: str = "") -> Page:
        """Open ``path`` below the dashboard's URL, or the list of runs; with a ``token``, use a link that signs in."""
        page = self.profile.new_page()
        page.goto(self.url + path + (f"#token={token}" if token else ""))
        return page

    def leave(self) -> None:
        """Close the pages. Raise AssertionError if one kept something in the profile or had a problem."""
        # A route that still waits for the API must not outlive its page.
        self.profile.unroute_all(behavior="ignoreErrors")
        for page in self.profile.pages:
            assert page.evaluate("localStorage.length") == 0
            page.close()
        assert self.profile.cookies() == []
        self.profile.remove_listener("page", self._watch)
        self.profile.remove_listener("request", self._see)
        assert self.problems == []

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        # Refusals by the API and connection failures are the subject of some tests.
        if message.type in ("error", "warning") and "/v1/" not in message.location["url"]:
            self.problems.append(f"console: {message.text} ({message.location['url']})")

    def _see(self, request: Any) -> None:
        if not request.url.startswith(self.url):
            self.problems.append(f"request: {request.url}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=executable(), args=FLAGS, ignore_default_args=IN_FILES if has_room() else None
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def spare_profiles() -> list[BrowserContext]:
    """Return profiles that a test left as it got them. Their caches hold the page's files, as most visitors' do."""
    return []


@pytest.fixture
def visitor(
    browser: Browser, here: dict[str, Any], spare_profiles: list[BrowserContext]
) -> Iterator[Callable[..., Visitor]]:
    """``visitor(**options of a context)``: open a browser profile and assert at the end that it had no problems."""
    visitors: list[Visitor] = []

    def visitor(**options: Any) -> Visitor:
        is_spare = bool(spare_profiles) and not options
        profile = spare_profiles.pop() if is_spare else browser.new_context(**(USUAL | options))
        visitors.append(Visitor(profile, here["dashboard_url"], is_changed=bool(options)))
        return visitors[-1]

    yield visitor
    for each in visitors:
        each.leave()
        if each.is_changed:
            each.profile.close()
        else:
            spare_profiles.append(each.profile)


@pytest.fixture
def admin(visitor: Callable[..., Visitor], here: dict[str, Any]) -> Callable[..., Page]:
    """``admin(path, **options)``: open a page as the demo team's owner, signed in by a link."""
    return lambda path="runs", **options: visitor(**options).open(path, token=here["admin_token"])


@pytest.fixture
def faults(here: dict[str, Any]) -> Iterator[Callable[..., None]]:
    """``faults(**fields)``: inject a fault into RevenueCat's next calls. ``faults()`` and the test's end clear it."""
    url = here["revenuecat_url"].removesuffix("/v2") + "/_sandbox/faults"

    def faults(**fields: Any) -> None:
        urllib3.request("DELETE", url)
        if fields:
            urllib3.request("POST", url, json={"times": None} | fields)

    yield faults
    faults()


@pytest.fixture
def quiet(here: dict[str, Any], faults: Any) -> Iterator[None]:
    """Ensure that the demo's project has no live run before and after the test."""
    _stop_all(here)
    yield
    _stop_all(here)


@pytest.fixture
def completed_run(here: dict[str, Any], quiet: None) -> str:
    """Return the id of a completed run of the demo team, which no other test has to leave behind."""
    path = f"/v1/teams/{here['team_id']}/jobs?status=completed"
    if not call(here, "GET", path)[1]["job_runs"]:
        run_id = triggered(here)["id"]
        until(lambda: ended(here, run_id))
    return call(here, "GET", path)[1]["job_runs"][0]["id"]


def _stop_all(here: dict[str, Any]) -> None:
    for status in ("pending", "running"):
        for run in call(here, "GET", f"/v1/teams/{here['team_id']}/jobs?status={status}")[1]["job_runs"]:
            call(here, "POST", f"/v1/jobs/{run['id']}/cancel")
            until(lambda run=run: ended(here, run["id"]))


@dataclass
class People:
    """Create teams and users beside the demo's."""

    owner: pg8000.native.Connection
    secret: str
    projects: list[str] = field(default_factory=list)

    def team(self, name: str) -> str:
        """Create a team and return its id. The slug is the lower-case name."""
        return str(
            self.owner.run(
                "INSERT INTO teams (name, slug) VALUES (:name, :slug) RETURNING id", name=name, slug=name.lower()
            )[0][0]
        )

    def project(self, team_id: str, name: str, *, has_key: bool = True) -> str:
        """Create a project and return its id. Its RevenueCat key cannot be decrypted, so a sync starts and fails."""
        sql = "INSERT INTO projects (team_id, name, slug) VALUES (:team_id, :name, :slug) RETURNING id"
        made = str(self.owner.run(sql, team_id=team_id, name=name, slug=name.lower())[0][0])
        if has_key:
            self.owner.run(
                "INSERT INTO project_integrations (project_id, provider, secret_encrypted)"
                " VALUES (CAST(:project_id AS uuid), 'revenuecat', 'x')",
                project_id=made,
            )
        self.projects.append(made)
        return made

    def leave(self) -> None:
        """Delete the projects, so that the demo's team has one project again: dialogs then choose it by themselves."""
        self.owner.run("UPDATE projects SET deleted_at = clock_timestamp() WHERE id = ANY (:ids)", ids=self.projects)

    def user(self, *roles: tuple[str, str]) -> str:
        """Create a user with these ``(team_id, role)`` and return their token."""
        email = f"{uuid.uuid4().hex[:12]}@demo.test"
        [[user_id]] = self.owner.run("INSERT INTO users (email) VALUES (:email) RETURNING id", email=email)
        for team_id, role in roles:
            self.owner.run(
                "INSERT INTO team_members (team_id, user_id, role) VALUES (:team_id, :user_id, :role)",
                team_id=team_id,
                user_id=user_id,
                role=role,
            )
        return jwt.encode({"sub": str(user_id), "exp": int(time.time()) + 3600}, self.secret, algorithm="HS256")

    def join(self, token: str, team_id: str, role: str) -> None:
        """Set the role of the token's user in the team."""
        self.owner.run(
            "INSERT INTO team_members (team_id, user_id, role) VALUES (:team_id, :user_id, :role)"
            " ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role",
            team_id=team_id,
            user_id=jwt.decode(token, self.secret, algorithms=["HS256"])["sub"],
            role=role,
        )

    def key(self, team_id: str, *permissions: str) -> str:
        key = f"owl_agent_{uuid.uuid4().hex}"
        self.owner.run(
            "INSERT INTO api_keys (team_id, key_type, key_hash, key_prefix, permissions)"
            " VALUES (:team_id, 'agent', :key_hash, 'owl_agent_', :permissions)",
            team_id=team_id,
            key_hash=key_hash(key),
            permissions=list(permissions),
        )
        return key

    def revoke(self, key: str) -> None:
        self.owner.run("UPDATE api_keys SET deleted_at = clock_timestamp() WHERE key_hash = :h", h=key_hash(key))

    def runs(self, team_id: str, project_id: str, count: int) -> None:
        """Insert completed runs, a minute apart; the newest is an hour old."""
        self.owner.run(
            "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, created_at, started_at,"
            " completed_at, progress, result) SELECT gen_random_uuid(), 'revenuecat_sync', 'completed',"
            " CAST(:team_id AS uuid), CAST(:project_id AS uuid), 'schedule', at, at, at + interval '20 s',"
            """ jsonb_build_object('processed', n, 'total', n, 'message', 'Number ' || n), '{"synced": 1}'"""
            " FROM (SELECT n, clock_timestamp() - make_interval(hours => 1, mins => n) AS at"
            " FROM generate_series(1, CAST(:count AS integer)) AS n) AS made",
            team_id=team_id,
            project_id=project_id,
            count=count,
        )


@pytest.fixture
def people(stack: Stack, stack_owner: pg8000.native.Connection) -> Iterator[People]:
    made = People(stack_owner, jwt_secret(stack))
    yield made
    made.leave()


def jwt_secret(stack: Stack) -> str:
    [described] = stack.local_aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    secret: str = stack.local_aws.client("secretsmanager").get_secret_value(SecretId=outputs["JwtSecretId"])[
        "SecretString"
    ]
    return secret


def assert_accessible(page: Page) -> None:
    """Assert on a screen and on a phone, in light and in dark: axe finds nothing, and nothing is wider than the window.

    Afterwards the page is as before: in light, on a screen.
    """
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        assert not is_wider_than_the_window(page), size
        # Between two schemes only the colours differ.
        for scheme, rules in (("dark", ["color-contrast"]), ("light", None)):
            page.emulate_media(color_scheme=scheme)
            assert barriers(page, rules) == [], (size, scheme)


def barriers(page: Page, rules: list[str] | None = None) -> list[str]:
    """Return axe-core's findings of serious or critical impact, after rows and animations have arrived.

    Without ``rules``, all of axe's rules are checked.
    """
    expect(page.locator(".runs.busy")).to_have_count(0)
    page.evaluate(
        "Promise.allSettled(document.getAnimations()"
        ".filter(each => each.effect.getComputedTiming().endTime < Infinity).map(each => each.finished))"
    )
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = page.evaluate("options => axe.run(options).then(found => found.violations)", options)
    return [
        f"{violation['id']}: {violation['help']}: {[node['html'][:120] for node in violation['nodes']][:3]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]


def is_wider_than_the_window(page: Page) -> bool:
    width: bool = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return width


def heading(page: Page, name: str | re.Pattern[str]) -> Any:
    return page.get_by_role("heading", name=name, exact=isinstance(name, str))


def rows(page: Page) -> Any:
    return page.locator(".runs tbody tr:not(.skeleton)")


def look_again(page: Page) -> None:
    """Trigger the events of a return to the tab: the page asks the API at once."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def changed(context: BrowserContext, path: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Let ``change(body)`` alter each answer of the API to ``path`` on its way to the page."""

    def alter(route: Any) -> None:
        body = route.fetch().json()
        change(body)
        route.fulfill(json=body)

    context.route(path, alter)


def run_dialog(page: Page, job_type: str = "revenuecat_sync") -> Any:
    """Open the dialog "Run job", choose the type, and the first of several projects; return the dialog."""
    page.get_by_role("button", name=re.compile("^Run (job|the first job)$")).first.click()
    dialog = page.get_by_role("dialog", name="Run job")
    dialog.get_by_label("Type", exact=True).select_option(job_type)
    project = dialog.get_by_label("Project", exact=True)
    if project.input_value() == "":
        project.select_option(index=1)
    return dialog


def type_of(body: dict[str, Any], job_type: str = "revenuecat_sync") -> dict[str, Any]:
    """Return the job type of this name from the API's answer to GET /v1/job-types."""
    found: dict[str, Any] = next(each for each in body["job_types"] if each["job_type"] == job_type)
    return found


def run_id_of(page: Page) -> str:
    """Wait until the page shows a run and return its id."""
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}(\?|$)"))
    return page.url.rsplit("/", 1)[1].partition("?")[0]


@pytest.fixture
def admin_of(people: People) -> Callable[..., str]:
    """``admin_of(*team_ids)``: create an admin of these teams and return their address."""

    def admin_of(*team_ids: str) -> str:
        email = f"{uuid.uuid4().hex[:12]}@demo.test"
        people.owner.run("INSERT INTO users (email) VALUES (:email)", email=email)
        for team_id in team_ids:
            people.owner.run(
                "INSERT INTO team_members (team_id, user_id, role) SELECT CAST(:team_id AS uuid), id, 'admin'"
                " FROM users WHERE email = :email",
                team_id=team_id,
                email=email,
            )
        return email

    return admin_of


@pytest.fixture
def codes_to(here: dict[str, Any]) -> Callable[[str], list[str]]:
    """``codes_to(address)``: return the codes in the mails to this address, the newest last."""

    def codes_to(address: str) -> list[str]:
        accounts = urllib3.request("GET", here["mailbox_url"]).json()["messages"]
        mails = sorted((mail for mails in accounts.values() for mail in mails), key=lambda mail: mail["Timestamp"])
        return [CODE.search(mail["BodyText"])[1] for mail in mails if mail["To"] == [address]]

    return codes_to


def enter_code(page: Page, code: str) -> None:
    page.get_by_label("Code", exact=True).fill(code)
    page.get_by_role("button", name="Sign in").click()


def ask_for_code(page: Page, email: str) -> None:
    page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Send code").click()
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
