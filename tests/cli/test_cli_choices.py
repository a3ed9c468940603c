"""With a hundred times the demo's projects, teams and members, every choice has a limit and a search."""

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from nightshift_cli.base.choices import asked, chosen, some
from nightshift_cli.base.failures import Misconfigured
from tests.support.cli_world import ADA, TEAM, TOKEN, Nightshift, Script, environment, run
from tests.support.processes import started

PROJECTS = [
    {"id": f"{number:08x}-0000-4000-8000-000000000000", "slug": f"project-{number}", "name": f"アプリ {number}"}
    for number in range(2000)
]
TEAMS = [
    {"id": f"{number:08x}-0000-4000-8000-000000000001", "slug": f"team-{number}", "name": "T", "role": "owner"}
    for number in range(500)
]
PAGES = [PROJECTS[n : n + 300] for n in range(0, 2000, 300)]


@pytest.fixture
def crowded(api: Script) -> Script:
    """Serve projects in pages, as an API with many projects does."""
    pages = [
        {"projects": page, "cursor": f"after {n}" if n < 6 else None, "has_more": n < 6} for n, page in enumerate(PAGES)
    ]
    api.on("GET /v1/projects", *pages)
    people = [ADA | {"email": f"person-{number}@example.com"} for number in range(300)]
    api.on(f"GET /v1/teams/{TEAM}/members", {"members": people, "api_keys": []})
    return api


def test_every_page_is_asked_for_and_none_twice(crowded: Script, nightshift: Nightshift) -> None:
    shown = nightshift("projects", "--all", "--team", TEAM).stdout
    assert all(f"project-{number} " in shown for number in range(2000))
    queries = [parse_qs(query) for _, query, _, _ in crowded.asked("GET /v1/projects")]
    assert queries == [{"team_id": [TEAM]} | ({"cursor": [f"after {n - 1}"]} if n else {}) for n in range(7)]


def test_a_cursor_that_stands_still_is_not_followed_for_ever(api: Script, nightshift: Nightshift) -> None:
    api.on("GET /v1/projects", {"projects": PROJECTS[:2], "cursor": "same", "has_more": True})
    assert nightshift("projects").exit_code == 0
    assert len(api.asked("GET /v1/projects")) == 2


@pytest.mark.parametrize(
    ("arguments", "rows", "note"),
    [
        (("projects",), 100, "The first 100 of 2,000. Search with --search TEXT, or show all with --all."),
        (("projects", "--search", "アプリ 199"), 11, ""),
        (("projects", "--search", "PROJECT-1999"), 1, ""),
        (("projects", "--search", "nothing"), 0, "None of the 2,000 contains 'nothing'."),
        (("members",), 100, "The first 100 of 300. Search with --search TEXT, or show all with --all."),
        (("members", "--search", "person-299@"), 1, ""),
    ],
)
def test_a_list_has_a_bound_and_a_search(
    crowded: Script, nightshift: Nightshift, arguments: tuple[str, ...], rows: int, note: str
) -> None:
    lines = nightshift(*arguments).stdout.splitlines()
    notes = [note] if note else []
    assert len(lines) == (rows + 1 if rows else 0) + len(notes)
    assert lines[len(lines) - len(notes) :] == notes


def test_a_project_among_many_is_found_by_its_slug_and_by_no_other(crowded: Script, nightshift: Nightshift) -> None:
    crowded.on(f"POST /v1/teams/{TEAM}/jobs/trigger", {"job_run": run()}, status=201)
    nightshift("jobs", "trigger", "x", "--project", "project-1999")
    assert crowded.requests[-1][3]["project_id"] == PROJECTS[1999]["id"]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (None, "Choose one with --project: project-0, project-1, project-2, project-3, project-4, project-5, "
               "project-6, project-7, project-8, project-9 and 1,990 more (nightshift projects --search TEXT)."),
        ("project-199x", "Unknown project 'project-199x'. Similar: project-199"),
        ("ject-55", "Unknown project 'ject-55'. Similar: project-55, project-550, "),
        ("zzz", "Unknown project 'zzz'. Available: project-0, "),
    ],
)  # fmt: skip
def test_an_error_names_a_few_and_how_to_find_the_rest(wanted: str | None, sentence: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        chosen("project", wanted, PROJECTS)
    assert raised.value.message.startswith(sentence)
    assert len(raised.value.message) < 300


def test_whoami_names_a_few_teams_and_finds_the_others(api: Script, nightshift: Nightshift) -> None:
    api.on("GET /v1/auth/whoami", {"type": "user", "email": "ada@example.com", "teams": TEAMS})
    shown = nightshift("whoami").stdout
    assert shown.count(", owner)") == 10
    assert "and 490 more; search with --search TEXT" in shown
    assert "team-499" in nightshift("whoami", "--search", "499").stdout
    assert "none of 500 contains 'x-y'" in nightshift("whoami", "--search", "x-y").stdout


def test_login_asks_among_many_teams(api: Script, tmp_path: Path) -> None:
    api.on("GET /v1/auth/whoami", {"type": "user", "email": "ada@example.com", "teams": TEAMS})
    env = {name: value for name, value in environment(api).items() if not name.startswith("NIGHTSHIFT_")}
    ours, theirs = os.openpty()
    with started(
        [sys.executable, "-m", "nightshift_cli", "login", "--api-url", api.url, "--token", TOKEN],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=env | {"XDG_CONFIG_HOME": str(tmp_path)},
    ) as process:  # fmt: skip
        os.close(theirs)
        seen = b""
        for question, answer in ((b"team-9 and 490 more)", b"nowhere\n"), (b"Unknown team 'nowhere'.", b"team-49\n")):
            while question not in seen:
                seen += os.read(ours, 4096)
            os.write(ours, answer)
        while b"team team-49." not in seen:
            seen += os.read(ours, 4096)
        assert process.wait() == 0
    os.close(ours)
    assert b"team-100" not in seen


@pytest.mark.parametrize(
    ("typed", "answer", "said"),
    [
        (["team-7"], "team-7", ""),
        (["m-499"], "team-499", ""),
        (["49", "team-49"], "team-49", "Similar: team-49, team-149, "),
    ],
)
def test_a_part_that_is_one_alone_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, typed: list[str], answer: str, said: str
) -> None:
    lines = iter(typed)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: next(lines))
    assert asked("team", [team["slug"] for team in TEAMS]) == answer
    assert said in capsys.readouterr().err


def test_a_few_are_all_named() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([f"n{n}" for n in range(12)]) == "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 2 more"
    assert some(["\x1b[2Jevil"]) == "[2Jevil"
