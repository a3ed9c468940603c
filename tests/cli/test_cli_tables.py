"""The output for people: tables on terminals of any width, names instead of ids, results in words."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from nightshift_cli.remote.names import Names
from nightshift_cli.show.run_rows import facts_of, progress_of, row_of
from nightshift_cli.show.table import laid_out
from tests.support.cli_world import ACME, ADA, PROJECT, RUN, TEAM, Nightshift, Script, at, plain, run

Terminal = Callable[..., tuple[int, str]]
NOW = datetime(2026, 1, 2, 6, 4, 5, tzinfo=UTC)


IDS = [f"{number:x}a2b3c4d-{number}00e-4f6a-8b9c-0123456789ab" for number in range(1, 5)]
LONG_SLUG = "an-uncommonly-long-slug-of-a-project-that-has-sixty-cells-xx"


@pytest.fixture
def listed(api: Script) -> Script:
    created = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    runs = [
        at(45, "Synced " + "very " * 40 + "many users", created_at=created, id=IDS[0]),
        at(200, "日本アプリ" * 20, status="completed", id=IDS[1], job_type="partition_creation"),
        run("failed", error="👨‍👩‍👧‍👦 हिन्दी " * 20, id=IDS[2], job_type="a_type_of_tomorrow_with_a_long_name"),
    ]
    api.on("GET /v1/projects", {"projects": [ACME | {"slug": LONG_SLUG}]})
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": runs, "cursor": None, "has_more": False})
    return api


@pytest.mark.parametrize("columns", [20, 32, 40, 60, 80, 120, 200, 500])
def test_a_run_is_a_line_on_every_terminal(listed: Script, on_terminal: Terminal, columns: int) -> None:
    _, sent = on_terminal("jobs", "list", columns=columns)
    lines = plain(sent).replace("\r", "").splitlines()
    assert [line.split()[0] for line in lines] == ["RUN", *(id[:8] for id in IDS[:3])]
    assert max(map(cell_len, lines)) <= columns
    shown = {
        32: ("RUN", "STATUS", "TYPE"),
        80: ("RUN", "STATUS", "TYPE", "DONE", "AGE", "PROJECT", "MESSAGE"),
        120: ("RUN", "STATUS", "TYPE", "DONE", "AGE", "PROJECT", "BY", "MESSAGE"),
    }
    assert lines[0].split() == [*shown.get(columns, lines[0].split())]
    if columns == 500:
        assert all(whole in sent for whole in (LONG_SLUG, ADA["email"], "many users", "RevenueCat Sync", "45/200 22%"))


def test_into_a_pipe_every_cell_goes_whole(listed: Script, nightshift: Nightshift) -> None:
    lines = nightshift("jobs", "list", env={"COLUMNS": "20"}).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["RUN", *IDS[:3]]
    for whole in (LONG_SLUG, ADA["email"], "many users", "日本アプリ" * 20, "a_type_of_tomorrow_with_a_long_name"):
        assert whole in "".join(lines)


def test_ids_are_as_long_as_they_have_to_be(api: Script, on_terminal: Terminal) -> None:
    runs = [run(id="1a2b3c4d-1111-4000-8000-000000000000"), run(id="1a2b3c4d-1112-4000-8000-000000000000")]
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [*runs, runs[0]], "cursor": None, "has_more": False})
    lines = plain(on_terminal("jobs", "list")[1]).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1a2b3c4d-1111", "1a2b3c4d-1112", "1a2b3c4d-1111"]


@pytest.mark.parametrize("command", ["view", "cancel", "timeline", "rerun", "view --follow", "open"])
def test_the_beginning_of_an_id_is_taken_everywhere(api: Script, nightshift: Nightshift, command: str) -> None:
    whole = run("completed", id=IDS[0])
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [whole], "cursor": None, "has_more": False})
    for path, answer in (("", {"job_run": whole}), ("/timeline", {"timeline": [], "why": "Over"})):
        api.on(f"GET /v1/jobs/{IDS[0]}{path}", answer)
    api.on(f"POST /v1/jobs/{IDS[0]}/cancel", {"cancelled": True})
    api.on(f"POST /v1/jobs/{IDS[0]}/rerun", {"job_run": whole}, status=201)
    name, *options = command.split()
    done = nightshift(*(["open"] if name == "open" else ["jobs", name]), IDS[0][:8].upper(), *options)
    assert done.exit_code == 0, done.output
    assert [query for _, query, _, _ in api.asked(f"GET /v1/teams/{TEAM}/jobs")] == [f"id_prefix={IDS[0][:8].upper()}"]
    assert any(IDS[0] in where for where, *_ in api.requests) or IDS[0] in done.stdout


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ([], "No run of this team has an id that begins with 1a2b3c4d. See `nightshift jobs list`."),
        (
            ["1a2b3c4d-1111-4000-8000-000000000000", "1a2b3c4d-1112-4000-8000-000000000000"],
            "Several run ids begin with 1a2b3c4d: 1a2b3c4d-1111-4000-8000-000000000000, "
            "1a2b3c4d-1112-4000-8000-000000000000 and more. Give more characters.",
        ),
        ([RUN], "does not support shortened run ids. Give the whole id."),
    ],
)
def test_a_beginning_of_no_run_or_of_several_is_a_sentence(
    api: Script, nightshift: Nightshift, page: list[str], sentence: str
) -> None:
    answer = {"job_runs": [run(id=id) for id in page], "cursor": None, "has_more": len(page) > 1}
    api.on(f"GET /v1/teams/{TEAM}/jobs", answer)
    done = nightshift("jobs", "cancel", "1a2b3c4d")
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert all(where.startswith("GET ") for where, *_ in api.requests)


@pytest.mark.parametrize("beginning", ["1", "1A2", "1-a2"])
def test_a_beginning_that_is_too_short_is_refused_in_words_of_the_command_line(
    api: Script, nightshift: Nightshift, beginning: str
) -> None:
    done = nightshift("jobs", "cancel", beginning)
    assert done.exit_code == 2
    assert f"Run id {beginning} is too short. Give at least 4 characters." in done.stderr
    assert not api.asked(f"GET /v1/teams/{TEAM}/jobs")


@pytest.mark.parametrize("command", ["members", "projects", "projects acme", f"jobs timeline {RUN}", "whoami"])
def test_no_id_is_cut_on_a_narrow_terminal(api: Script, on_terminal: Terminal, command: str) -> None:
    app = {"platform": "android", "id": TEAM, "bundle_id": "com.acme.of.a.long.name", "name": "Acme"}
    api.on(f"GET /v1/projects/{PROJECT}", {"id": PROJECT, "apps": [app]})
    part = {"slice": 0, "outcome": "waiting", "started_at": "2026-01-02T03:04:05.678Z", "reason": "very " * 20}
    api.on(f"GET /v1/jobs/{RUN}/timeline", {"timeline": [part], "state": "waiting", "why": "It waits"})
    _, sent = on_terminal(*command.split(), columns=50)
    lines = plain(sent).replace("\r", "").splitlines()
    shown = {
        "members": (ADA["id"], ADA["email"]),
        "projects": (PROJECT, "acme", "Acme"),
        "projects acme": (PROJECT, TEAM, "com.acme.of.a.long.name"),
        "whoami": (TEAM,),
    }.get(command, ("waiting", "2026-01-02 03:04:05"))
    assert all(any(each in line for line in lines) for each in shown), lines
    assert max(map(len, lines)) <= 50 or command == "whoami"


def test_of_a_narrow_table_empty_columns_go_first(api: Script, on_terminal: Terminal) -> None:
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [run("pending")], "cursor": None, "has_more": False})
    _, sent = on_terminal("jobs", "list", columns=80)
    assert plain(sent).split()[:6] == ["RUN", "STATUS", "TYPE", "AGE", "PROJECT", "BY"]


def test_names_cost_one_call_each_and_json_none(api: Script, nightshift: Nightshift) -> None:
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [run()] * 3, "cursor": None, "has_more": False})
    nightshift("jobs", "list", "--team", TEAM, "--format", "json")
    assert len(api.requests) == 1
    nightshift("jobs", "list", "--team", TEAM)
    assert len(api.requests) == 1 + 3
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [], "cursor": None, "has_more": False})
    nightshift("jobs", "list", "--team", TEAM)
    assert len(api.requests) == 1 + 3 + 1


def test_names_that_cannot_be_asked_for_are_ids(api: Script, nightshift: Nightshift) -> None:
    api.on("GET /v1/projects", {"error": "Missing permission"}, status=403)
    api.on(f"GET /v1/teams/{TEAM}/members", {"members": "nobody"})
    api.on(f"GET /v1/teams/{TEAM}/jobs", {"job_runs": [run()], "cursor": None, "has_more": False})
    shown = nightshift("jobs", "list").stdout
    assert PROJECT[:8] in shown
    assert "user 0198c0de" in shown
    api.runs(run())
    viewed = nightshift("jobs", "view", RUN).stdout
    assert re.search(rf"^project id +{PROJECT}$", viewed, re.MULTILINE)
    assert f"(manual:user:{ADA['id']})" in viewed


@pytest.mark.parametrize(
    ("triggered_by", "shown"),
    [
        ("schedule", "schedule"),
        ("system", "the operator"),
        ("soft_delete_cleanup", "the cleanup, because the project or team was deleted"),
        ("manual:user:u1", "ada"),
        ("manual:api_key:k1", "key k1"),
        ("manual:user:unknown-to-us", "user unknown-"),
        ("manual:robot:r2d2", "robot r2d2"),
        (None, ""),
        ({"new": "shape"}, '{"new": "shape"}'),
    ],
)
def test_who_started_it(triggered_by: Any, shown: str) -> None:
    names = Names(people={"manual:user:u1": "ada", "manual:api_key:k1": "key k1"})
    assert names.starter({"triggered_by": triggered_by}) == shown


@pytest.mark.parametrize(
    ("by", "shown"),
    [
        ("soft_delete_cleanup", "the cleanup, because the project or team was deleted (soft_delete_cleanup)"),
        ("sweep", "the sweep, because the project or team was deleted (sweep)"),
        ("system", "the operator (system)"),
        ("manual:user:u1", "ada (manual:user:u1)"),
    ],
)
def test_who_asked_it_to_stop(by: str, shown: str) -> None:
    timeline = {"cancel_requested_by": by, "cancel_requested_at": "2026-01-02T03:04:05.000Z"}
    names = Names(people={"manual:user:u1": "ada"})
    facts = dict(facts_of(run(), timeline=timeline, now=NOW, names=names))
    assert facts["cancel requested by"] == shown


def test_a_run_in_words(api: Script, nightshift: Nightshift) -> None:
    result = {
        "synced": 193,
        "freed_bytes": 3 * 1024**3,
        "took_s": 75,
        "warning": "Half of it",
        "by_store": {"app": 1},
        "failures": [{"user": "u1", "why": "no\tanswer"}, {"user": "u2", "why": None}],
    }
    params = {"project_id": PROJECT, "include_sandbox": True, "note": "a b"}
    api.runs(at(200, status="completed", result=result, params=params, notify=True))
    told = {"timeline": [], "state": "ended", "why": "It is completed", "logs_url": "http://127.0.0.1:4568/logs/1"}
    api.on(f"GET /v1/jobs/{RUN}/timeline", told)
    viewed = nightshift("jobs", "view", RUN).stdout
    facts = {line[:12].strip(): line[14:].strip() for line in viewed.splitlines() if line[0] != " "}
    assert facts["job type"] == "RevenueCat Sync (revenuecat_sync)"
    assert facts["project id"] == f"acme ({PROJECT})"
    assert facts["triggered by"].startswith("ada@acme.example (manual:user:")
    assert facts["logs url"] == told["logs_url"]
    assert "why" not in facts
    values = [line.strip() for line in re.split(r"\n(?=\w)|\n +", viewed)]
    start = values.index("result        Warning: Half of it")
    assert values[start + 1 : start + 10] == [
        "Synced: 193",
        "Freed: 3 GB",
        "Took: 1 min 15 s",
        "By store: app: 1",
        "Failures:",
        "User: u1, Why: no answer",
        "User: u2, Why: —",
        "params        include_sandbox=true",
        "note=a b",
    ]
    followed = nightshift("jobs", "view", RUN, "--follow").stdout.splitlines()
    assert followed[followed.index(f"Run {RUN} completed.") + 1 :][:2] == ["  Warning: Half of it", "  Synced: 193"]
    assert json.loads(nightshift("jobs", "view", RUN, "--format", "json").stdout)["result"] == result


def test_bytes_are_counted_in_bytes() -> None:
    [*_, _] = row = row_of(at(1024**3, job_type="db_pruning"), now=NOW, id=RUN)
    assert "1 GB of 200 bytes" in row


@pytest.mark.parametrize(
    ("created_at", "age", "ago"),
    [
        ("2026-01-02T03:04:05.678Z", "2 h", "(2 h ago)"),
        ("2026-01-02T06:04:05.700Z", "0 s", "(0 s ago)"),
        ("2026-01-02T06:09:05.700Z", "0 s", "(in 5 min)"),
        ("yesterday", "", "yesterday"),
        (None, "", None),
        (17, "", "17"),
    ],
)
def test_clocks_may_differ_and_times_be_odd(created_at: Any, age: str, ago: str | None) -> None:
    assert row_of(run(created_at=created_at), now=NOW, id=RUN)[4] == age
    facts = dict(facts_of(run(created_at=created_at), timeline={}, now=NOW))
    assert (ago is None and "created at" not in facts) or facts["created at"].endswith(ago)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*run(), "a field of tomorrow"]), JSON))
def test_whatever_a_run_holds_it_is_shown(fields: dict[str, Any]) -> None:
    odd = run() | fields
    assert len(row_of(odd, now=NOW, id=RUN)) == 9
    names = [name for name, _ in facts_of(odd, timeline={"state": "?", "since": 3}, now=NOW)]
    assert ("a field of tomorrow" in names) == (fields.get("a field of tomorrow") not in (None, "", []))


CELLS = st.text(st.characters(exclude_categories=["C", "Z", "M"]), max_size=30) | st.just("日本" * 30)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=4), st.integers(12, 130), st.booleans())
def test_a_table_of_anything_fits_and_shows_every_cell(rows: list[tuple[str, ...]], width: int, wrap: bool) -> None:
    console = Console(width=width)
    texts = [[Text(cell) for cell in row] for row in rows]
    lines = list(laid_out(texts, headers=["ONE", "TWO", "THREE", "LAST"], console=console, wrap=wrap))
    # A character that is two cells wide may exceed a column of one cell.
    assert all(line.cell_len <= width + 1 for line in lines)
    everything = "".join(line.plain for line in lines).replace(" ", "")
    for row in rows:
        # At least the first four cells.
        assert all(cell[:2] in everything for cell in row[:3])


def test_an_id_is_never_cut() -> None:
    for width, below in ((50, False), (40, True), (8, True)):
        lines = laid_out([[Text(LONG_SLUG), Text(RUN)]], headers=["SLUG", "ID"], console=Console(width=width))
        shown = "".join(line.plain.strip() + "\n" for line in lines)
        assert RUN in shown.replace("\n", "")
        assert (f"…\n{RUN}\n" in shown) == (below and width > len(RUN))
        assert (f"…  {RUN}\n" in shown) == (not below)


def test_a_reason_wraps_in_its_column(api: Script, on_terminal: Terminal) -> None:
    part = {"slice": 0, "started_at": "2026-01-02T03:04:05.678Z", "outcome": "retrying", "reason": "very " * 20 + "sad"}
    api.on(f"GET /v1/jobs/{RUN}/timeline", {"timeline": [part], "state": "waiting", "why": "Waiting."})
    _, sent = on_terminal("jobs", "timeline", RUN)
    lines = plain(sent).replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 80
    assert plain(sent).count("very") == 20
    assert "sad" in plain(sent)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("1,240 of 10,000, 155 a minute, about 57 min left", "155 a minute, about 57 min left"),
        ("1,240 of 10,000", ""),
        ("1,240 of 10,000 users", "1,240 of 10,000 users"),
        ("11,240 of 10,000, odd", "11,240 of 10,000, odd"),
        ("", ""),
    ],
)
def test_a_count_at_the_beginning_of_a_message_is_not_shown_twice(message, shown):
    of_a_run = progress_of({"progress": {"processed": 1240, "total": 10_000, "message": message}})
    assert (of_a_run.counts, of_a_run.message) == ("1240/10000", shown)
