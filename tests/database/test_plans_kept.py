"""Postgres plans a statement with its values, unless the statement finds its rows by a key."""

import re

import pytest

from nightshift.database.queries import PLANNED_ONCE, query_files, query_text
from nightshift.database.statements import parse
from nightshift.testing.rows import make_team
from tests.support.world import NO_LINES, claim, trigger

NO_FILTERS = dict.fromkeys(("job_type", "statuses", "project_id", "since", "before_created_at", "before_id"), None)
USES = 23


def plans(db):
    """Return how often a plan without values was used, by the text of each prepared statement."""
    found = db.run_script("SELECT statement, generic_plans FROM pg_prepared_statements WHERE name <> ''")
    return {text: generic for text, generic in found}


def kept(db, name):
    """Return how often the plan of the query was one without values."""
    return plans(db)[parse(query_text(name)).text]


@pytest.mark.parametrize("rows", [0, 20_000])
def test_a_statement_with_filters_is_planned_with_its_values_at_each_use(db, owner, rows):
    team = make_team(owner)
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, completed_at)"
        f" SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'x', 'completed', now()"
        f" FROM projects, generate_series(1, {rows}); ANALYZE job_runs"
    )
    before = db.statements
    for number in range(USES):
        filters = NO_FILTERS | {"project_id": team.project_id if number % 2 else None}
        assert len(db.query("list_runs", team_id=team.id, limit=5, **filters)) == min(rows, 5)
    assert db.statements - before == USES
    assert kept(db, "list_runs") == 0
    [[prepared]] = db.run_script("SELECT count(*) FROM pg_prepared_statements")
    assert prepared == 1


def test_a_statement_of_each_slice_keeps_its_plan(cloud, db, owner):
    team = make_team(owner)
    run_id = trigger(team, db=db, settings=cloud)["id"]
    claim(db, run_id, 0)
    for number in range(USES):
        step = {"cursor": str(number), "cursor_version": 1, "progress": None}
        db.query("save_progress", run_id=run_id, slice=0, **step, **NO_LINES)
    assert kept(db, "save_progress") >= USES - 6


def test_a_statement_that_failed_is_prepared_and_planned_all_the_same(db, owner, own_queries):
    own_queries["divide"] = "SELECT 1 / CAST(:by AS integer) AS part FROM job_runs RIGHT JOIN projects ON true"
    make_team(owner)
    for number in range(USES):
        if number % 3:
            assert db.query("divide", by=1) == [{"part": 1}]
        else:
            with pytest.raises(Exception, match="division by zero"):
                db.query("divide", by=0)
    assert set(plans(db).values()) == {0}


def test_a_column_whose_type_has_changed_is_read_as_what_it_is(db, owner, own_queries):
    owner.run_script("CREATE TABLE measured AS SELECT 1 AS value; GRANT SELECT ON measured TO nightshift_tests")
    own_queries["measure"] = "SELECT value FROM measured"
    for _ in range(5):
        assert db.query("measure") == [{"value": 1}]
    owner.run_script("ALTER TABLE measured ALTER value TYPE text USING 'one'")
    assert db.query("measure") == [{"value": "one"}]


def test_no_statement_with_an_optional_filter_keeps_its_plan():
    assert query_files().keys() >= PLANNED_ONCE
    optional = re.compile(r":(\w+) AS \w+(?:\[\])?\) IS NULL\s+OR", re.IGNORECASE)
    assert {name for name in PLANNED_ONCE if optional.search(query_text(name))} == set()
