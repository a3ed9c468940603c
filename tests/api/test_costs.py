"""No query of the API costs more because of other teams' data, which could reveal the data or slow the caller down."""

import uuid

import pytest

from nightshift.testing.rows import make_team
from tests.support.plans import explained

CROWD = 20_000
# Reading an index and a few rows; the pages of a crowd are hundreds. A list reads one range for each of five statuses.
FEW_BUFFERS = 20


@pytest.fixture
def crowded(owner):
    """Insert a team, and others with a large amount of everything. Return both."""
    team, others = make_team(owner), make_team(owner, slug="others")
    owner.run_script(
        f"""
        INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, error, completed_at,
                              idempotency_key, request_hash)
        SELECT gen_random_uuid(), 'revenuecat_sync', '{others.id}', '{others.project_id}', 'x', 'failed', 'e',
               clock_timestamp(), sha256(CAST(n AS text)::bytea), '' FROM generate_series(1, {CROWD}) n;
        INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome)
        SELECT (SELECT id FROM job_runs LIMIT 1), n, 'r', clock_timestamp(), 'continued'
        FROM generate_series(1, {CROWD}) n;
        INSERT INTO projects (team_id, name, slug) SELECT '{others.id}', 'P' || n, 'p' || n
        FROM generate_series(1, {CROWD}) n;
        INSERT INTO apps (project_id, name) SELECT '{others.project_id}', 'A' || n FROM generate_series(1, {CROWD}) n;
        INSERT INTO api_keys (team_id, key_type, key_hash, key_prefix)
        SELECT '{others.id}', 'agent', sha256(CAST(n AS text)::bytea), 'x' FROM generate_series(1, {CROWD}) n;
        WITH people AS (INSERT INTO users (email) SELECT n || '@x.example' FROM generate_series(1, {CROWD}) n
                        RETURNING id)
        INSERT INTO team_members (team_id, user_id, role) SELECT '{others.id}', id, 'member' FROM people;
        INSERT INTO job_pauses (job_type, what, paused_by, why) VALUES ('db_pruning', 'type', 'x', 'y');
        ANALYZE
        """
    )
    return team, others


def test_what_others_have_costs_nothing(db, owner, crowded):
    team, others = crowded
    absent = str(uuid.uuid4())
    listing = {"with_emails": "true", "limit": 1001}
    trigger = {
        "id": absent, "job_type": "revenuecat_sync", "triggered_by": "x", "params": "{}", "notify": "false",
        "resend_delay_s": 60, "runs_per_minute": 120, "team_id": team.id,
    }  # fmt: skip
    # Each query as for a team with almost no data, and for missing resources.
    asked = [
        ("list_runs", {"team_id": team.id, "limit": 51}),
        ("list_runs", {"team_id": team.id, "limit": 51, "statuses": "{failed}"}),
        ("list_runs", {"team_id": team.id, "limit": 51, "job_type": "revenuecat_sync", "statuses": "{completed}"}),
        ("list_runs", {"team_id": team.id, "limit": 51, "since": "2020-01-01Z"}),
        ("list_projects", {"team_ids": f"{{{team.id}}}", "limit": 1001}),
        ("list_projects", {"team_ids": f"{{{team.id}}}", "limit": 1001, "q": "p1"}),
        ("projects_by_id", {"team_ids": f"{{{team.id}}}", "project_ids": f"{{{others.project_id}}}"}),
        ("project_name", {"team_ids": f"{{{team.id}}}", "project_id": others.project_id}),
        ("list_members", listing | {"team_id": team.id}),
        ("list_members", listing | {"team_id": team.id, "q": "1@x"}),
        ("list_api_keys", {"team_id": team.id, "limit": 1001}),
        ("list_apps", {"project_id": team.project_id, "limit": 1001}),
        ("list_slices", {"run_id": absent, "at_most": 1000}),
        ("list_pauses", {}),
        ("get_run", {"run_id": absent}),
        ("get_project", {"project_id": absent}),
        ("find_user", {"user_id": team.users["admin"]}),
        ("find_api_key", {"key_hash": "\\x00"}),
        ("cancel_run", {"run_id": absent, "requested_by": "x"}),
        ("forget_idempotency_key", {"idempotency_key": "\\x00"}),
        ("insert_run", trigger | {"project_id": others.project_id, "idempotency_key": "\\x00"}),
        ("insert_run", trigger | {"project_id": absent, "idempotency_key": "\\x00"}),
    ]
    for query, values in asked:
        _, buffers = explained(db, query, **values)
        assert buffers <= FEW_BUFFERS, (query, values, buffers)


def test_a_page_of_projects_costs_the_same_at_any_depth(db, owner, crowded):
    """For a key of one team, and for a person of two."""
    team, others = crowded
    near_the_end = f"SELECT name, id FROM projects ORDER BY left(name, 200), id OFFSET {CROWD} - 100 LIMIT 1"
    [[name, id_]] = owner.run_script(near_the_end)
    for teams in (f"{{{others.id}}}", f"{{{team.id},{others.id}}}"):
        for after in ({}, {"after_name": name, "after_id": id_}):
            rows, buffers = explained(db, "list_projects", team_ids=teams, limit=51, **after)
            assert rows == 51
            assert buffers < 51 + 2 * FEW_BUFFERS, (teams, after, buffers)


def test_what_is_another_teams_costs_what_is_not_there_costs(db, owner, crowded):
    """The row's own page is excepted: the query reads it to find the owning team."""
    team, others = crowded
    [[theirs]] = owner.run_script("SELECT run_id FROM job_timeline LIMIT 1")
    [[key]] = owner.run_script("SELECT idempotency_key FROM job_runs WHERE idempotency_key IS NOT NULL LIMIT 1")
    absent = str(uuid.uuid4())
    for query, named, foreign, values in (
        ("get_run", "run_id", theirs, {}),
        ("get_project", "project_id", others.project_id, {}),
        ("project_name", "project_id", others.project_id, {"team_ids": f"{{{team.id}}}"}),
        ("insert_run", "project_id", others.project_id, {"team_id": team.id, "idempotency_key": f"\\x{key.hex()[:8]}"}),
    ):
        costs = [explained(db, query, **values | {named: each})[1] for each in (foreign, absent)]
        assert max(costs) - min(costs) <= 6, (query, costs)
