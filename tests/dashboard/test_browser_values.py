"""A job's results and parameters are shown exactly: no value may look like another."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser_world import People, Visitor, heading

pytestmark = pytest.mark.browser


@pytest.fixture
def ended_run(visitor: Callable[..., Visitor], people: People, stack_owner: Any) -> Callable[..., Page]:
    """``ended_run(sets)``: the page of an ended run, after ``UPDATE job_runs SET sets``.

    ``body`` alters the API's answer on its way.
    """

    def ended_run(sets: str, *, body: Callable[[str], str] = lambda text: text, **options: Any) -> Page:
        team = people.team(f"Values {people.owner.run('SELECT gen_random_uuid()')[0][0]}")
        people.runs(team, people.project(team, "Runs"), 1)
        [[run_id]] = stack_owner.run(f"UPDATE job_runs SET {sets} WHERE team_id = :team RETURNING id", team=team)
        visit = visitor(**options)
        visit.context.route(
            f"**/v1/jobs/{run_id}",
            lambda route: route.fulfill(body=body(route.fetch().text()), content_type="application/json"),
        )
        page = visit.open(f"runs/{run_id}", token=people.user((team, "admin")))
        expect(heading(page, "Timeline")).to_be_visible()
        return page

    return ended_run


def facts(page: Page, card: str) -> dict[str, str]:
    """Return the names and values of a card."""
    found = page.locator("section.card").filter(has=page.get_by_role("heading", name=card)).locator("dl.facts > div")
    return dict(found.evaluate_all("all => all.map((each) => [...each.children].map((part) => part.innerText))"))


def result_of(text: str) -> Callable[[str], str]:
    return lambda body: re.sub(r'"result": ?\{"synced": ?1\}', lambda _: f'"result":{text}', body)


def test_numbers_keep_each_digit_from_the_database(ended_run: Callable[..., Page]) -> None:
    page = ended_run("""result = '{"id": 9007199254740993, "share": 1.0, "rate": 0.12345, "synced": 1234}'""")
    assert facts(page, "Result") == {
        "Id": "9,007,199,254,740,993",
        "Share": "1.0",
        "Rate": "0.12345",
        "Synced": "1,234",
    }


NUMBERS = {
    "9007199254740993": "9,007,199,254,740,993",
    "-9007199254740993": "-9,007,199,254,740,993",
    "12345678901234567890.123456789": "12,345,678,901,234,567,890.123456789",
    "1e400": "1e400",
    "1E+2": "1E+2",
    "1e-7": "1e-7",
    "-0": "-0",
    "0.30000000000000004": "0.30000000000000004",
    "100.00": "100.00",
    "1" + "0" * 400: "1" + "0" * 400,
}


def test_a_reader_whose_mails_are_stopped_is_told_so(ended_run: Callable[..., Page], stack_owner: Any) -> None:
    page = ended_run("notify = true")
    assert facts(page, "Run")["Mail when done"] == "Yes"
    address = f"{page.url.rpartition('/')[2]}@gone.test"
    stack_owner.run(
        "INSERT INTO job_outbox (run_id, recipient, status, ended_at, send_at)"
        " VALUES (CAST(:run AS uuid), :address, 'sent', now(), NULL)",
        run=address.partition("@")[0],
        address=address,
    )
    stack_owner.run("INSERT INTO job_mail_stops (address, reason) VALUES (:address, 'bounce')", address=address)
    page.reload()
    expect(heading(page, "Timeline")).to_be_visible()
    said = facts(page, "Run")["Mail when done"]
    assert said.startswith("Mails to the person who triggered this run are stopped since 20")
    assert address not in said


def test_numbers_are_shown_as_they_are_written(ended_run: Callable[..., Page]) -> None:
    written = ",".join(f'"n{place}":{number}' for place, number in enumerate(NUMBERS))
    listed = f'"all":[{",".join(NUMBERS)}],"deep":{{"in":[{",".join(NUMBERS)}]}}'
    table = f'"rows":[{",".join(f"""{{"value":{number}}}""" for number in NUMBERS)}]'
    page = ended_run("notify = notify", body=result_of(f"{{{written},{table},{listed}}}"))
    shown = facts(page, "Result")
    assert [shown[f"N{place}"] for place in range(len(NUMBERS))] == list(NUMBERS.values())
    assert page.locator("table.values td").all_inner_texts() == list(NUMBERS.values())
    # Values that contain commas are not separated by commas.
    assert shown["All"].split(", ") == list(NUMBERS.values())
    assert [line.strip(" ,") for line in shown["Deep"].splitlines()[2:-2]] == list(NUMBERS)


def test_units_take_no_digit_away(ended_run: Callable[..., Page]) -> None:
    page = ended_run(
        """result = '{"freed_bytes": 1234567, "few_bytes": 12, "took_s": 3725.5, "short_s": 3.75, "lag_s": -5,
        "more_bytes": 9007199254740993}'"""
    )
    assert facts(page, "Result") == {
        "Freed": "1.2 MB (1,234,567 bytes)",
        "Few": "12 bytes",
        "Took": "1 h 2 min (3,725.5 s)",
        "Short": "3.75 s",
        "Lag": "-5 s",
        "More": "8,192 TB (9,007,199,254,740,993 bytes)",
    }


def test_what_is_no_number_is_not_taken_for_another_value(ended_run: Callable[..., Page]) -> None:
    page = ended_run(
        """result = '{"nothing": null, "empty": "", "digits": "9007199254740993", "yes": true,
        "at": "2026-11-26T23:47:07Z",
        "__proto__": "own", "constructor": {"a": {"__proto__": 1}}, "list": ["a, b", "c"], "none": [{}],
        "rows": [{"constructor": 1}, {"toString": 2}]}'"""
    )
    shown = facts(page, "Result")
    assert shown["Nothing"] == "—"
    assert shown["Empty"] == '""'
    assert shown["Digits"] == "9007199254740993"
    assert shown["Yes"] == "Yes"
    assert shown["At"] == "2026-11-26T23:47:07Z"
    assert shown["Proto"] == "own"
    assert '"__proto__": 1' in shown["Constructor"]
    assert "".join(shown["List"].split()) == '["a,b","c"]'
    assert "".join(shown["None"].split()) == "[{}]"
    assert page.locator("table.values td").all_inner_texts() == ["1", "", "", "2"]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("0", "0"),
        ("false", "No"),
        ('"text"', "text"),
        ("[1, 2.0]", "1, 2.0"),
        (f'{{"deep":{"[" * 900}9007199254740993{"]" * 900}}}', "9007199254740993"),
        (f'{{"deeper":{"[" * 100_000}{"]" * 100_000}}}', "Nested too deeply to be shown here."),
    ],
    ids=["zero", "false", "text", "list", "deep", "deeper"],
)
def test_a_result_of_another_shape(ended_run: Callable[..., Page], result: str, said: str) -> None:
    page = ended_run("notify = notify", body=result_of(result))
    card = page.locator("section.card").filter(has=page.get_by_role("heading", name="Result"))
    expect(card).to_contain_text(said)


def test_a_long_text_is_whole(ended_run: Callable[..., Page]) -> None:
    page = ended_run("result = jsonb_build_object('text', repeat('0123456789', 20000) || 'end')")
    assert facts(page, "Result")["Text"] == "0123456789" * 20000 + "end"
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def test_a_result_is_copied_as_it_is(ended_run: Callable[..., Page]) -> None:
    page = ended_run(
        """result = '{"id": 9007199254740993, "share": 1.0, "name": "\\u201ca\\u201d \\\\ \\"b\\""}'""",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.get_by_role("button", name="Copy result").click()
    expect(page.get_by_text("Copied result")).to_be_attached()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert '"id": 9007199254740993' in copied
    assert '"share": 1.0' in copied
    assert '"name": "“a” \\\\ \\"b\\""' in copied


@pytest.mark.parametrize(
    ("sets", "words", "part"),
    [
        ("progress = NULL", "Done", 1),
        ("progress = NULL, result = NULL, status = 'failed', error = 'It broke'", "No progress", 0),
        (
            """progress = '{"processed": 3, "total": 4}', result = NULL, status = 'failed', error = 'It broke'""",
            "3 of 4",
            0.75,
        ),
    ],
)
def test_the_bar_and_the_words_say_the_same(ended_run: Callable[..., Page], sets: str, words: str, part: float) -> None:
    page = ended_run(sets)
    expect(page.get_by_role("region", name="Progress").locator("strong")).to_have_text(words)
    assert page.get_by_role("progressbar").evaluate("bar => bar.value / bar.max") == part


def test_the_clean_up_says_why_it_stopped_a_run(ended_run: Callable[..., Page]) -> None:
    page = ended_run(
        "status = 'cancelled', result = NULL, cancel_requested_at = completed_at,"
        " cancel_requested_by = 'soft_delete_cleanup'"
    )
    expect(page.locator(".timeline")).to_contain_text("by Soft-Delete Cleanup, because the project or team was deleted")


def test_a_word_of_a_newer_release_is_shown_and_not_guessed(ended_run: Callable[..., Page]) -> None:
    page = ended_run("triggered_by = 'constructor'")
    expect(page.locator("aside")).to_contain_text(re.compile(r"Triggered by\s*constructor"))
