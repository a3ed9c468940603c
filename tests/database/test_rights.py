"""Each role may do what its functions' statements need, and nothing else. Postgres itself judges, on the real schema.

EXPLAIN checks the rights of a statement without running it. The statements of a function are those that its code can
reach (tests/support/reach.py); the bodies of functions in the database, which EXPLAIN does not look into, are run.
"""

from pathlib import Path

import pytest

from local import roles
from nightshift.database.queries import Database, query_files, query_text
from nightshift.database.statements import parse
from nightshift.jobs.registry import JOB_TYPES
from nightshift.testing.rows import make_team
from tests.support.reach import Definition, queries_from

# Undoes each statement. ``owes`` turns the reason that an ending stores into an error.
JUDGE = """
    CREATE FUNCTION owes(reason text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF reason LIKE '%permission denied%' THEN
            RAISE insufficient_privilege USING MESSAGE = reason;
        END IF;
    END $$;
    CREATE FUNCTION first_denial(as_role text, statements text[]) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
        statement text;
    BEGIN
        FOREACH statement IN ARRAY statements LOOP
            BEGIN
                PERFORM set_config('role', as_role, true);
                EXECUTE statement;
                RAISE EXCEPTION USING ERRCODE = 'UNDO0';
            EXCEPTION
                WHEN insufficient_privilege THEN RETURN SQLERRM || ' in ' || statement;
                WHEN SQLSTATE 'UNDO0' THEN NULL;
            END;
        END LOOP;
        RETURN NULL;
    END $$;
"""
ENDING = "SELECT owes(tell_of_ending(run)) FROM job_runs run WHERE {}"
CANCELLED, FAILED, COMPLETED = (
    ENDING.format(f"status = '{status}'") for status in ("cancelled", "failed", "completed")
)
OF_A_PROJECT = ENDING.format("status = 'completed' AND project_id IS NOT NULL")
NO_ROW = "'00000000-0000-0000-0000-000000000000'"
CLEANED = ("teams", "projects", "apps", "api_keys", "metric_definitions", "funnel_definitions", "project_integrations")
BATCH = """
    SELECT owes(in_the_way)
    FROM {2} AS parent, cleanup_extent('{0}', '{1}', parent.id, '{3}') AS span,
         cleanup_batch('{0}', '{1}', parent.id, '{3}', span.first, span.last, 1)
"""
PLACE = f"SELECT FROM job_revenuecat_place({NO_ROW}, NULL)"
BACKFILL = "SELECT job_revenuecat_insert(id, ARRAY['two']) FROM projects"
LOOKS = """
    SELECT owes(job_revenuecat_write(project_id, jsonb_build_array(jsonb_build_object(
        'id', id, 'properties', jsonb_build_object('rc_status', 'active'), 'attribution', jsonb_build_object(),
        'revenue_usd_cents', 1)))::text)
    FROM app_users
"""

LINES = "SELECT owes(keep_log_lines(gen_random_uuid(), NULL, 0, 1, '[]', 1))"
SHARE = "SELECT take_sign_in_share('all', 1)"

# The calls of functions in the database, for each role.
BODIES = {
    "nightshift_api": [CANCELLED, SHARE],
    "nightshift_notify": [SHARE],
    "nightshift_operate": [CANCELLED, "SELECT FROM event_gaps(now(), now())"],
    "nightshift_worker": [FAILED, OF_A_PROJECT, PLACE, LOOKS, BACKFILL, LINES],
    "nightshift_sweep": [FAILED, COMPLETED],
    "nightshift_maintenance": [
        *(CANCELLED, FAILED, COMPLETED, LINES),
        *(f"SELECT cleanup_hold('{table}', {NO_ROW}, now(), NULL, NULL)" for table in CLEANED),
        *(f"SELECT owes(cleanup_resource('{table}', {NO_ROW}))" for table in CLEANED),
        BATCH.format("app_users", "project_id", "projects", "id"),
        BATCH.format("team_members", "team_id", "teams", "user_id"),
        BATCH.format("job_team_schedules", "project_id", "projects", "id"),
        BATCH.format("job_project_pauses", "project_id", "projects", "job_type"),
        BATCH.format("job_days", "project_id", "projects", "day"),
        f"SELECT owes(in_the_way) FROM cleanup_runs({NO_ROW}, NULL, now(), now(), 1)",
    ],
}


def modules_of(role: str) -> list[Definition]:
    """Return the code from which a function with this role begins."""
    if role == "nightshift_maintenance":
        return [("nightshift.runs.slices", "*"), *jobs_of("system")]
    named = [function for function, known in roles.OF_FUNCTION.items() if known == role]
    begins = [
        (".".join(file.with_suffix("").relative_to("functions").parts), "*")
        for function in named
        for file in Path("functions", function).rglob("*.py")
    ]
    return begins + (jobs_of("project") if role == "nightshift_worker" else [])


def jobs_of(scope: str) -> list[Definition]:
    return [(f"nightshift_jobs.{name}.job", "*") for name, each in JOB_TYPES.items() if each.scope == scope]


@pytest.fixture
def judge(owner: Database) -> Database:
    """The schema owner's session, in which each query is prepared under its name, in a database with ended runs."""
    team = make_team(owner)
    owner.run_script("UPDATE job_deployment SET wants_events = true")
    owner.run_script(f"INSERT INTO app_users (project_id, user_id) VALUES ('{team.project_id}', 'one')")
    owner.run_script(
        "INSERT INTO job_team_schedules (id, project_id, job_type, name, cron, zone, params, created_by)"
        f" VALUES (gen_random_uuid(), '{team.project_id}', 'x', '', '@daily', 'UTC', '{{}}', 'manual:user:x')"
    )
    owner.run_script(
        "INSERT INTO job_project_pauses (project_id, job_type, paused_by, why)"
        f" VALUES ('{team.project_id}', 'x', 'x', '')"
    )
    owner.run_script(
        "INSERT INTO job_days (team_id, project_id, job_type, day, completed, failed, cancelled, took, waited)"
        f" VALUES ('{team.id}', '{team.project_id}', 'x', current_date, 1, 0, 0, '{{}}', '{{}}')"
    )
    owner.run_script(
        f"""
        INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, status, error, result, notify,
                              started_at, completed_at, schedule_id)
        SELECT gen_random_uuid(), 'x', CASE WHEN project_id IS NOT NULL THEN gen_random_uuid() END, project_id,
               triggered_by, status, CASE status WHEN 'failed' THEN 'e' END,
               CASE status WHEN 'completed' THEN '{{}}'::jsonb END, true, now(), now(),
               CASE triggered_by WHEN 'schedule' THEN (SELECT id FROM job_team_schedules) END
        FROM (VALUES ('{team.project_id}'::uuid, 'manual:user:{team.users["admin"]}'),
                     ('{team.project_id}', 'manual:api_key:' || (SELECT id FROM api_keys)), (NULL, 'system'),
                     ('{team.project_id}', 'schedule')
             ) AS kind (project_id, triggered_by), unnest(ARRAY['completed', 'failed', 'cancelled']) AS status
        """
    )
    owner.run_script(JUDGE)
    owner.run_script("SET plan_cache_mode = force_generic_plan")
    for name in query_files():
        owner.run_script(f"PREPARE {name} AS {parse(query_text(name)).text}")
    return owner


def statements_of(role: str) -> list[str]:
    explained = []
    for name in sorted(queries_from(*modules_of(role))):
        given = ", ".join("NULL" for _ in parse(query_text(name)).names)
        explained.append(f"EXPLAIN EXECUTE {name}{f'({given})' if given else ''}")
    return explained + BODIES.get(role, [])


def first_denial(judge: Database, role: str, statements: list[str]) -> str | None:
    texts = ", ".join(f"$statement${statement}$statement$" for statement in statements)
    [[denial]] = judge.run_script(f"SELECT first_denial('{role}', ARRAY[{texts}])")
    return denial


def test_the_code_of_some_function_reaches_each_query() -> None:
    reached = set().union(*(queries_from(*modules_of(role)) for role in roles.FUNCTIONS))
    reached |= set(queries_from(("migrate.app", "*")))
    assert set(query_files()) == reached


@pytest.mark.parametrize("role", roles.FUNCTIONS)
def test_a_role_may_send_the_statements_of_its_functions(judge: Database, role: str) -> None:
    assert first_denial(judge, role, statements_of(role)) is None


@pytest.mark.parametrize("role", roles.FUNCTIONS)
def test_a_role_has_no_right_that_its_functions_do_not_need(judge: Database, role: str) -> None:
    rights = judge.run_script(
        f"SELECT table_name, unnest(privileges) FROM job_rights WHERE role = '{role}' ORDER BY table_name"
    )
    assert rights
    needless, statements = [], statements_of(role)
    for table, privilege in rights:
        judge.begin()
        judge.run_script(f"REVOKE {privilege} ON {table} FROM {role}")
        if first_denial(judge, role, statements) is None:
            needless.append((table, privilege))
        judge.rollback()
    assert needless == []
