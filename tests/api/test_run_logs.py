"""GET /v1/jobs/{id}/logs: the newest lines, the following ones, levels, and how much one answer reads."""

import json

import pytest

from nightshift.testing.rows import make_team
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.plans import explained
from tests.support.world import token

AT = "2026-01-02T03:04:05.678Z"


@pytest.fixture
def team(cloud, owner):
    return make_team(owner)


@pytest.fixture
def run_id(owner, team):
    [[run_id]] = owner.run_script(
        "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, started_at, resend_at)"
        f" VALUES (gen_random_uuid(), 'revenuecat_sync', 'running', '{team.id}', '{team.project_id}', 'x', now(),"
        " now()) RETURNING id::text"
    )
    return run_id


@pytest.fixture
def log(owner, run_id):
    """``log(9, "debug", "error")``: store lines, of which the last has the number 9."""

    def log(last, *levels, message="Line", **fields):
        first = last - len(levels) + 1
        lines = [
            {"at": AT, "level": level, "message": f"{message} {number}"} | ({"fields": fields} if fields else {})
            for number, level in enumerate(levels, start=first)
        ]
        owner.run_script(
            f"INSERT INTO job_run_logs (run_id, last_line, slice, bytes, lines)"
            f" VALUES ('{run_id}', {last}, 3, 1, '{json.dumps(lines)}');"
            f"UPDATE job_runs SET logged_lines = {last} WHERE id = '{run_id}'"
        )

    return log


@pytest.fixture
def ask(team, run_id):
    api = Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")

    def ask(**query):
        status, answer = api("GET", f"/v1/jobs/{run_id}/logs", **{name: str(of) for name, of in query.items()})
        return (
            answer | {"log_lines": [line["line"] for line in answer["log_lines"]]}
            if status == 200
            else (status, answer)
        )

    ask.whole = lambda: api("GET", f"/v1/jobs/{run_id}/logs")[1]
    return ask


def page(*lines, **fields):
    usual = {"log_lines": [*lines], "cursor": lines[-1] if lines else 0, "has_more": False, "left_out": 0}
    return usual | {"logged": lines[-1] if lines else 0, "lost_slices": [], "status": "running"} | fields


def test_a_run_without_lines_and_one_with_some(ask, log):
    assert ask() == page()
    log(2, "info", "warning", user="u1", count=3, none=None)
    first, second = ask.whole()["log_lines"]
    fields = {"user": "u1", "count": 3, "none": None}
    assert first == {"line": 1, "slice": 3, "at": AT, "level": "info", "message": "Line 1", "fields": fields}
    assert (second["line"], second["level"]) == (2, "warning")


def test_following_misses_no_line_and_repeats_none(ask, log):
    log(3, "info", "info", "info")
    first = ask(limit=2)
    assert first == page(2, 3)
    assert ask(after=first["cursor"]) == page(cursor=3, logged=3)
    log(7, "info", "info", "info", "info")
    second = ask(after=3, limit=3)
    assert second == page(4, 5, 6, has_more=True, logged=7)
    assert ask(after=6) == page(7)
    # From the middle of lines that were stored together.
    assert ask(after=5) == page(6, 7)
    assert ask(after=0, limit=2) == page(1, 2, has_more=True, logged=7)
    assert ask(after=99) == page(cursor=99, logged=7)


def test_a_level_leaves_out_lower_ones_and_the_cursor_passes_them(ask, log):
    log(4, "debug", "info", "warning", "error")
    assert ask(level="debug") == page(1, 2, 3, 4)
    assert ask(level="warning") == page(3, 4)
    log(5, "debug")
    assert ask(level="error", after=4) == page(cursor=5, logged=5)


def test_lines_that_are_not_stored_any_longer_are_counted(ask, log, owner, run_id):
    log(1_500, *["info"] * 10)
    log(2_400, *["info"] * 900)
    log(2_505, *["info"] * 105)
    # The first row is beyond the last thousand, and the second in part.
    answer = ask(limit=1_000)
    assert answer == page(*range(1_506, 2_506), left_out=1_505)
    assert ask(after=2_000, limit=1) == page(2_001, left_out=0, has_more=True, logged=2_505)
    owner.run_script(f"DELETE FROM job_run_logs WHERE run_id = '{run_id}'")
    assert ask() == page(cursor=2_505, logged=2_505, left_out=2_505)


def test_slices_whose_workers_were_lost_are_named(ask, owner, run_id):
    owner.run_script(
        "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome)"
        f" VALUES ('{run_id}', 0, 'r', now(), 'lost'), ('{run_id}', 1, 'r', now(), 'continued'),"
        f" ('{run_id}', 2, 'r', now(), 'lost'); UPDATE job_runs SET lost_in_total = 2"
    )
    assert ask() == page(lost_slices=[0, 2])


def test_the_largest_log_fits_into_pages(ask, log):
    for last in range(100, 1_001, 100):
        log(last, *["info"] * 100, message='"' * 900)
    seen, cursor, has_more = [], 0, True
    while has_more:
        answer = ask(after=cursor, limit=1_000)
        seen, cursor, has_more = seen + answer["log_lines"], answer["cursor"], answer["has_more"]
    assert seen == list(range(1, 1_001))


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("after", "-1", 'after must be a whole number of 0 or more, got "-1"'),
        ("after", "9" * 19, None),
        ("level", "loud", 'level must be one of debug, info, warning, error, got "loud"'),
        ("limit", "x", 'limit must be a whole number from 1 to 1000, got "x"'),
    ],
)
def test_a_malformed_question_is_refused(ask, name, value, error):
    status, answer = ask(**{name: value})
    assert status == 400
    assert answer["error"] == error or (error is None and answer["error"].startswith(f"{name} must be"))


def test_each_question_reads_the_rows_of_its_run_alone(log, owner, run_id, db):
    owner.run_script(
        "INSERT INTO job_run_logs (run_id, last_line, slice, bytes, lines)"
        " SELECT gen_random_uuid(), n, 0, 1, '[]' FROM generate_series(1, 20000) n;"
        f"INSERT INTO job_run_logs (run_id, last_line, slice, bytes, lines)"
        f" SELECT '{run_id}', n, 0, 1, '[]' FROM generate_series(1, 900) n; ANALYZE job_run_logs"
    )
    asked = {
        "list_log_lines": {"run_id": run_id, "after": 890},
        "newest_log_lines": {"run_id": run_id, "at_most": 10},
        "lost_slices_of_run": {"run_id": run_id, "at_most": 100},
    }
    read = {query: [explained(owner, query, **values) for _ in range(2)][1] for query, values in asked.items()}
    assert read["list_log_lines"][0] == read["newest_log_lines"][0] == 10
    assert max(buffers for _, buffers in read.values()) < 10


def test_the_sweep_reads_the_lines_of_one_team_alone(owner, team, run_id):
    owner.run_script(
        "INSERT INTO job_run_logs (run_id, last_line, team_id, slice, bytes, lines)"
        f" SELECT gen_random_uuid(), n, CASE WHEN n % 1000 = 0 THEN '{team.id}' ELSE gen_random_uuid() END, 0, 1, '[]'"
        " FROM generate_series(1, 20000) n;"
        "INSERT INTO job_runs (id, job_type, status, team_id, project_id, triggered_by, completed_at)"
        " SELECT gen_random_uuid(), 'x', 'completed', gen_random_uuid(), gen_random_uuid(), 'x',"
        " now() - interval '1 min' * n FROM generate_series(1, 20000) n;"
        "UPDATE job_sweep SET logs_until = now() - interval '5 min'; ANALYZE"
    )
    asked = {
        "shorten_team_logs": {"team_id": team.id, "most_bytes": 10},
        "logged_runs": {"now": "tomorrow", "late_s": 120, "at_most": 100},
        "count_log_lines": {"keys": f"{{{run_id}}}", "most_bytes": 10},
    }
    for query, values in asked.items():
        for _ in range(2):
            owner.begin()
            _, buffers = explained(owner, query, **values)
            owner.rollback()
        assert buffers < 150, query
