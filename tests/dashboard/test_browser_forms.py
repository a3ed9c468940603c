"""Choices among many, and forms that stay open while their choices change: the sent values are the shown ones."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser_world import (
    DOWN,
    People,
    Visitor,
    barriers,
    changed,
    look_again,
    rows,
    run_dialog,
    run_id_of,
    type_of,
)
from tests.support.stack_world import triggered, until

pytestmark = pytest.mark.browser

# A hundred times the demo's numbers and more.
MANY_PROJECTS, MANY_TEAMS = 25_000, 500


@pytest.fixture
def team(people: People) -> str:
    return people.team(f"Forms {people.owner.run('SELECT gen_random_uuid()')[0][0]}")


@pytest.fixture
def opened(visitor: Callable[..., Visitor], people: People, team: str) -> Callable[..., tuple[Page, list[Any]]]:
    """``opened()``: the dialog of a team with the projects First and Second, and the requests that it sent."""
    for name in ("First", "Second"):
        people.project(team, name)

    def opened(before: Callable[[Visitor], None] = lambda visit: None) -> tuple[Page, list[Any]]:
        visit, sent = visitor(), []
        visit.context.clock.install()
        before(visit)
        visit.context.route(
            "**/jobs/trigger",
            lambda route: (
                sent.append(route.request.post_data_json),
                route.fulfill(status=400, json={"error": "Not today"}),
            ),
        )
        page = visit.open(token=people.user((team, "admin")))
        run_dialog(page)
        return page, sent

    return opened


def run(page: Page) -> None:
    page.get_by_role("button", name="Run", exact=True).click()


def with_params(params: list[dict[str, Any]]) -> Callable[[Visitor], None]:
    """Use the last of ``params`` as the sync's parameters."""

    def change(body: dict[str, Any]) -> None:
        type_of(body)["params"] = {"type": "object", "properties": params[-1]}

    return lambda visit: changed(visit.context, "**/v1/job-types", change)


class TestAmongMany:
    @pytest.fixture
    def many(self, people: People, team: str) -> str:
        people.owner.run(
            "INSERT INTO projects (team_id, name, slug) SELECT CAST(:team AS uuid), 'Shop ' || n, 'shop-' || n"
            " FROM generate_series(1, CAST(:count AS integer)) AS n",
            team=team,
            count=MANY_PROJECTS - 2,
        )
        people.project(team, "Ärzte")
        people.runs(team, people.project(team, "日本アプリ"), 1)
        return team

    def test_a_project_is_searched_for(
        self, visitor: Callable[..., Visitor], people: People, many: str, stack_owner: Any
    ) -> None:
        visit, sent = visitor(), []
        visit.context.route(
            "**/jobs/trigger",
            lambda route: (sent.append(route.request.post_data_json), route.fulfill(status=400, json={"error": "No"})),
        )
        page = visit.open(token=people.user((many, "admin")))
        expect(rows(page)).to_have_count(1)
        # The row's project is not among the first ones that the page has loaded.
        expect(rows(page).first).to_contain_text("日本アプリ")
        expect(page.get_by_label("Project", exact=True).locator("option")).to_have_count(102)
        page.get_by_label("Search projects").fill("日本")
        expect(page.get_by_text("Found projects: 1")).to_be_attached()
        page.get_by_label("Search projects").press("Enter")
        page.wait_for_url("**/runs?project_id=*")
        expect(page.get_by_label("Project", exact=True).locator("option:checked")).to_have_text("日本アプリ")
        assert barriers(page) == []
        dialog = run_dialog(page)
        expect(dialog.get_by_text("More: search to find them")).to_be_attached()
        dialog.get_by_label("Search projects").fill("Ärzte")
        expect(dialog.get_by_text("Found projects: 1")).to_be_attached()
        dialog.get_by_label("Search projects").press("Enter")
        assert sent == []
        expect(dialog.get_by_label("Project", exact=True).locator("option:checked")).to_have_text("Ärzte")
        assert barriers(page) == []
        # The selection stays during later searches.
        dialog.get_by_label("Search projects").fill("nothing like it")
        run(page)
        expect(dialog.get_by_role("alert")).to_have_text("No")
        [[wanted]] = stack_owner.run("SELECT id FROM projects WHERE team_id = :t AND name = 'Ärzte'", t=many)
        assert sent[0]["project_id"] == str(wanted)

    def test_a_team_is_searched_for(self, visitor: Callable[..., Visitor], people: People, team: str) -> None:
        token = people.user((team, "admin"))
        # The search looks at slugs, too: digits in them, such as those of a UUID, may be the ones that it looks for.
        made = people.owner.run(
            "INSERT INTO teams (name, slug) SELECT 'Team ' || n, 'one-of-many-' || n"
            " FROM generate_series(1, CAST(:count AS integer)) AS n RETURNING id",
            count=MANY_TEAMS,
        )
        for [each] in made:
            people.join(token, str(each), "owner")
        page = visitor(viewport={"width": 360, "height": 740}).open(token=token)
        page.get_by_label("Search teams").fill("team 432")
        page.get_by_label("Search teams").press("Enter")
        page.wait_for_url("**/runs?team=one-of-many-432")
        expect(page.get_by_label("Team", exact=True).locator("option:checked")).to_have_text("Team 432")
        assert barriers(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        people.owner.run("DELETE FROM team_members WHERE team_id = ANY(CAST(:ids AS uuid[]))", ids=[i for [i] in made])

    def test_an_answer_that_has_more_is_followed(
        self, visitor: Callable[..., Visitor], people: People, team: str
    ) -> None:
        """The API answers like this for a team with more members than one page holds."""
        people.user((team, "member"))
        visit = visitor()

        def paged(route: Any, *names: str) -> None:
            # The test splits the whole answer into pages, because the API's own pages hold a thousand.
            body = route.fetch(url=re.sub(r"&cursor=\d+", "", route.request.url)).json()
            [(_, place)] = re.findall(r"(cursor=)(\d+)", route.request.url) or [("", "0")]
            more = any(len(body[name]) > int(place) + 1 for name in names)
            lists = {name: body[name][int(place) : int(place) + 1] for name in names}
            route.fulfill(json=lists | {"has_more": more, "cursor": str(int(place) + 1) if more else None})

        visit.context.route("**/members*", lambda route: paged(route, "members", "api_keys"))
        with visit.context.expect_event("response", lambda answer: "/members?cursor=1" in answer.url):
            visit.open(token=people.user((team, "admin")))

    def test_projects_of_one_name_are_told_apart(self, opened: Any, people: People, team: str) -> None:
        people.owner.run("INSERT INTO projects (team_id, name, slug) VALUES (:t, 'First', 'other')", t=team)
        page, _sent = opened()
        offered = page.get_by_role("dialog").get_by_label("Project").locator("option").all_inner_texts()
        assert sorted(offered) == ["First (first)", "First (other)", "Second"]


class TestWhatIsShownIsSent:
    def test_a_project_that_goes_is_not_replaced_by_another(
        self, opened: Any, people: People, team: str, stack_owner: Any
    ) -> None:
        page, sent = opened()
        project = page.get_by_role("dialog").get_by_label("Project")
        expect(project.locator("option:checked")).to_have_text("First")
        stack_owner.run(
            "UPDATE projects SET deleted_at = clock_timestamp() WHERE team_id = :t AND name = 'First'", t=team
        )
        look_again(page)
        expect(project.locator("option:checked")).to_have_text("No longer available: choose another")
        run(page)
        assert project.evaluate("field => field.validity.valueMissing")
        assert sent == []
        project.select_option(label="Second")
        run(page)
        expect(page.get_by_role("alert")).to_have_text("Not today")
        [[second]] = stack_owner.run("SELECT id FROM projects WHERE team_id = :t AND name = 'Second'", t=team)
        assert sent[0]["project_id"] == str(second)

    def test_a_type_that_goes_leaves_the_form_open(self, opened: Any) -> None:
        gone: list[bool] = []
        page, sent = opened(
            lambda visit: changed(
                visit.context, "**/v1/job-types", lambda body: body["job_types"].clear() if gone else None
            )
        )
        gone.append(True)
        look_again(page)
        kind = page.get_by_role("dialog").get_by_label("Type")
        expect(kind.locator("option:checked")).to_have_text("No longer available: choose another")
        run(page)
        assert sent == []
        page.get_by_role("button", name="Close", exact=True).last.click()
        expect(page.get_by_role("dialog")).to_have_count(0)

    def test_a_schema_that_changes_asks_anew(self, opened: Any) -> None:
        params: list[dict[str, Any]] = [
            {"size": {"type": "integer", "default": 3}, "label": {"type": "string"}, "old": {"type": "string"}}
        ]
        page, sent = opened(with_params(params))
        page.get_by_label("Size").fill("5")
        page.get_by_label("Label").fill("kept")
        page.get_by_label("Old").fill("gone")
        params.append(
            {"size": {"type": "integer", "default": 8}, "label": {"type": "string"}, "new": {"type": "boolean"}}
        )
        look_again(page)
        expect(page.get_by_label("Old")).to_have_count(0)
        expect(page.get_by_label("Size")).to_have_value("8")
        expect(page.get_by_label("Label")).to_have_value("kept")
        run(page)
        expect(page.get_by_role("alert")).to_have_text("Not today")
        assert sent[0]["params"] == {"size": 8, "label": "kept", "new": False}

    def test_what_a_browser_fills_in_without_a_word_is_sent(self, opened: Any) -> None:
        page, sent = opened(
            with_params(
                [
                    {
                        "size": {"type": "integer", "default": 3},
                        "mode": {"enum": ["fast", "careful"], "default": "fast"},
                        "dry": {"type": "boolean"},
                        "extra": {"type": "array"},
                    }
                ]
            )
        )
        page.evaluate("""() => {
            const field = (name) => document.getElementById(name);
            field("param-size").value = "42";
            field("param-mode").value = '"careful"';
            field("param-dry").checked = true;
            field("param-extra").value = "[1, 2";
            field("notify").checked = true;
        }""")
        look_again(page)
        page.clock.run_for(31_000)
        expect(page.get_by_label("Size")).to_have_value("42")
        run(page)
        expect(page.get_by_role("alert")).to_have_text("Extra must be valid JSON.")
        assert sent == []
        page.evaluate("document.getElementById('param-extra').value = '[1, 2]'")
        run(page)
        expect(page.get_by_role("alert")).to_have_text("Not today")
        assert sent[0]["params"] == {"size": 42, "mode": "careful", "dry": True, "extra": [1, 2]}
        assert sent[0]["notify"] is True

    def test_a_type_that_is_set_without_a_word_shows_its_own_fields_first(self, opened: Any) -> None:
        def two_types(body: dict[str, Any]) -> None:
            first = type_of(body)
            other = {"type": "object", "properties": {"depth": {"type": "integer", "default": 1}}}
            body["job_types"] = [first, first | {"job_type": "other", "label": "Other", "params": other}]

        page, sent = opened(lambda visit: changed(visit.context, "**/v1/job-types", two_types))
        page.evaluate("document.getElementById('type').value = 'other'")
        run(page)
        expect(page.get_by_label("Depth")).to_be_visible()
        assert sent == []
        run(page)
        expect(page.get_by_role("alert")).to_have_text("Not today")
        assert (sent[0]["job_type"], sent[0]["params"]) == ("other", {"depth": 1})

    def test_no_digit_of_a_number_is_lost(self, opened: Any) -> None:
        number = {"type": "number"}
        raw: list[str] = []
        page, _sent = opened(
            with_params([{"big": {"type": "integer"}, "share": number | {"default": 1.0}, "deep": {"type": "array"}}])
        )
        page.on("request", lambda request: raw.append(request.post_data) if request.url.endswith("trigger") else None)
        expect(page.get_by_label("Share")).to_have_value("1.0")
        page.get_by_label("Big").fill("009007199254740993")
        page.get_by_label("Deep").fill("[9007199254740993, 0.10]")
        run(page)
        expect(page.get_by_role("alert")).to_have_text("Not today")
        assert '"params":{"big":9007199254740993,"share":1.0,"deep":[9007199254740993,0.10]}' in raw[0]

    @pytest.mark.parametrize("name", ["__proto__", "constructor", "toString", "type"])
    def test_a_parameter_of_any_name(self, opened: Any, name: str) -> None:
        page, sent = opened(with_params([{name: {"type": "string", "title": "Odd", "default": "x"}}]))
        expect(page.get_by_label("Odd")).to_have_value("x")
        run(page)
        expect(page.get_by_role("alert")).to_have_text("Not today")
        assert sent[0]["params"] == {name: "x"}


def test_a_double_click_starts_one_run(visitor: Callable[..., Visitor], people: People, team: str) -> None:
    people.project(team, "First")
    visit, sent = visitor(), []
    visit.context.on("request", lambda request: sent.append(request) if request.url.endswith("/trigger") else None)
    page = visit.open(token=people.user((team, "admin")))
    run_dialog(page)
    page.get_by_role("button", name="Run", exact=True).evaluate(
        "button => { button.click(); button.click(); button.form.requestSubmit() }"
    )
    run_id_of(page)
    assert len(sent) == 1


def test_a_double_click_cancels_once_and_says_no_error(
    visitor: Callable[..., Visitor], faults: Any, here: dict[str, Any], quiet: None
) -> None:
    faults(**DOWN)
    visit, sent = visitor(), []
    visit.context.on("request", lambda request: sent.append(request) if request.url.endswith("/cancel") else None)
    page = visit.open(f"runs/{triggered(here)['id']}", token=here["admin_token"])
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel run").evaluate("button => { button.click(); button.click() }")
    expect(page.locator(".heading .status")).to_have_text("Cancelled")
    assert len(sent) == 1


def test_filters_are_those_of_the_address_whichever_way_it_changes(
    visitor: Callable[..., Visitor], people: People, team: str
) -> None:
    people.runs(team, people.project(team, "First"), 3)
    visit = visitor()
    page = visit.open(token=people.user((team, "admin")))
    expect(rows(page)).to_have_count(3)
    status = page.get_by_label("Status")
    status.select_option("failed")
    expect(page.get_by_text("No runs match")).to_be_visible()
    page.go_back()
    expect(status).to_have_value("")
    expect(rows(page)).to_have_count(3)
    page.go_forward()
    expect(status).to_have_value("failed")
    page.reload()
    expect(status).to_have_value("failed")
    # A browser that restores a form sets the field without an event. The shown value is that of the URL.
    status.evaluate("field => { field.value = 'running' }")
    with page.expect_response("**/jobs?**"):
        look_again(page)
    until(lambda: status.input_value() == "failed" or page.wait_for_timeout(10))
    assert {field.get_attribute("autocomplete") for field in page.locator(".filters select").all()} == {"off"}
