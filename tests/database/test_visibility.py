"""Our roles' rights and their visible rows differ, and a hidden row must never count as a missing one.

Row-level security filters silently. Each table of the platform gets a policy that shows our roles nothing, and every
reader of that table has to report it.
"""

import uuid
from collections.abc import Callable

import pytest

from local import roles
from nightshift.operator import doctor
from nightshift.testing.rows import run_row, work
from nightshift_jobs.soft_delete_cleanup import job
from tests.api.test_api import Api, trigger
from tests.support.fixtures import JWT_SECRET, TESTS
from tests.support.world import make_furnished_team, system_run, token

HIDING = "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; CREATE POLICY nobody ON {table} USING (false)"


@pytest.fixture
def team(cloud, owner):
    return make_furnished_team(owner)


@pytest.fixture
def hide(owner) -> Callable[[str], None]:
    return lambda table: owner.run_script(HIDING.format(table=table))


class TestRequests:
    REQUESTS = {
        "a user's token": (("users", "team_members", "teams"), "user", "GET", "/v1/auth/whoami"),
        "an agent's key": (("api_keys", "teams"), "key", "GET", "/v1/auth/whoami"),
        "projects": (("projects",), "key", "GET", "/v1/projects"),
        "a project": (("projects", "teams", "apps"), "key", "GET", "/v1/projects/{project}"),
        "members": (("users", "team_members"), "key", "GET", "/v1/teams/{team}/members"),
        "a trigger": (("projects", "teams"), "key", "POST", "/v1/teams/{team}/jobs/trigger"),
        "the runs of a project": (("projects",), "key", "GET", "/v1/teams/{team}/jobs"),
        "a run": (("teams",), "key", "GET", "/v1/jobs/{run}"),
    }
    CASES = [
        pytest.param(table, *request, id=f"{name}, {table}")
        for name, (tables, *request) in REQUESTS.items()
        for table in tables
    ]

    @pytest.mark.parametrize(("table", "kind", "method", "path"), CASES)
    def test_rows_that_are_kept_back_are_no_answer(self, team, hide, table, kind, method, path):
        api = Api(f"Bearer {team.agent_key if kind == 'key' else token(team.users['admin'], JWT_SECRET)}")
        run = uuid.uuid4() if table == "projects" else trigger(api, team)[1]["job_run"]["id"]
        hide(table)
        path = path.format(team=team.id, project=team.project_id, run=run)
        if method == "POST":
            status, body = trigger(api, team)
        else:
            status, body = api(method, path, **({"project_id": team.project_id} if path.endswith("/jobs") else {}))
        assert (status, body["error"]) == (
            503,
            "The database hides rows that this request needs. Tell the server's operator.",
        )


class TestJobs:
    @pytest.mark.parametrize("table", ["app_users", "project_integrations"])
    def test_a_sync_of_nobody_is_not_completed(self, cloud, team, connect, owner, hide, table):
        api = Api(f"Bearer {team.agent_key}")
        run_id = trigger(api, team)[1]["job_run"]["id"]
        hide(table)
        work(run_id, 0, db=connect(user="nightshift_worker"), settings=cloud)
        run = run_row(owner, run_id)
        assert run["status"] == "failed"
        assert run["error"] == (
            "Row-level security hides rows from nightshift_worker: query would be affected by row-level security "
            f'policy for table "{table}". As a superuser: ALTER ROLE nightshift_worker BYPASSRLS'
        )

    @pytest.mark.parametrize("table", [*job.RESOURCES[:-1], "app_users", "events"])
    def test_a_cleanup_names_what_is_kept_back_and_keeps_what_it_belongs_to(self, cloud, team, db, owner, hide, table):
        owner.run_script("UPDATE teams SET deleted_at = now() - interval '8 days'")
        if table == "events":
            owner.run_script("ALTER TABLE events FORCE ROW LEVEL SECURITY")
        hide(table)
        run_id = system_run(owner, "soft_delete_cleanup")
        work(run_id, 0, db=db, settings=cloud)
        run = run_row(owner, run_id)
        if table in ("metric_definitions", "funnel_definitions", "app_users"):  # Rows of other tables could be deleted.
            assert run["result"]["barred"] == [table]
            assert run["result"]["kept_in_all"]
        else:
            assert run["status"] == "failed"
            assert table in run["error"]
            assert "ALTER ROLE nightshift_maintenance BYPASSRLS" in run["error"]
        assert owner.run_script("SELECT count(*) FROM teams") == [[1]]

    def test_a_role_that_is_shown_everything_works(self, cloud, team, db, owner, superuser, hide):
        for table in ("users", "teams", "team_members", "projects", "apps", "api_keys", "app_users"):
            hide(table)
        try:
            for role in (TESTS, *roles.FUNCTIONS):
                superuser.run_script(f"ALTER ROLE {role} BYPASSRLS")
            api = Api(f"Bearer {team.agent_key}")
            assert [each["id"] for each in api("GET", "/v1/projects")[1]["projects"]] == [team.project_id]
            assert owner.query("missing_rights") == []
        finally:
            for role in (TESTS, *roles.FUNCTIONS):
                superuser.run_script(f"ALTER ROLE {role} NOBYPASSRLS")


class TestDoctor:
    NEEDED_BY = {
        "users": ("api", "maintenance", "notify", "operate", "setup", "sweep", "worker"),
        "api_keys": ("api", "maintenance", "operate", "setup", "sweep", "worker"),
        "projects": ("api", "maintenance", "notify", "operate", "setup", "sweep", "worker"),
        "project_integrations": ("api", "maintenance", "setup", "sweep", "worker"),
        "app_users": ("api", "maintenance", "worker"),
        "apps": ("api", "maintenance"),
        "job_runs": ("api", "maintenance", "operate", "sweep", "worker"),
        "metric_definitions": ("maintenance",),
        "funnel_definitions": ("maintenance",),
    }

    @pytest.mark.parametrize(("table", "needed_by"), NEEDED_BY.items(), ids=NEEDED_BY)
    def test_it_names_the_table_and_the_role(self, db, cloud, owner, hide, table, needed_by):
        assert doctor._rights(db).ok
        hide(table)
        assert sorted(row["lacking"] for row in owner.query("missing_rights")) == [
            f"row-level security keeps rows of {table} from {role}. As a superuser: ALTER ROLE {role} BYPASSRLS"
            for role in (f"nightshift_{each}" for each in needed_by)
        ]
        assert not doctor._rights(db).ok

    def test_of_tables_of_their_own_our_roles_are_shown_everything_unless_it_is_forced(self, owner, hide):
        hide("events")
        assert owner.query("missing_rights") == []
        owner.run_script("ALTER TABLE events FORCE ROW LEVEL SECURITY")
        assert len(owner.query("missing_rights")) == 1

    @pytest.mark.parametrize(
        "change",
        [
            "CREATE SCHEMA elsewhere; ALTER TABLE apps SET SCHEMA elsewhere",
            "CREATE SCHEMA elsewhere; ALTER TABLE apps SET SCHEMA elsewhere;"
            "ALTER ROLE nightshift_operate IN DATABASE {database} SET search_path = elsewhere, public",
        ],
        ids=["not searched", "not open"],
    )
    def test_a_table_out_of_sight_is_not_said_to_be_gone(self, connect, owner, change):
        owner.run_script(change.format(database=owner._config.database_name))
        assert (
            "apps is in the schema elsewhere, which is not in the search path of nightshift_operate, or not open"
            in (doctor._rights(connect(user="nightshift_operate")).says)
        )

    def test_a_rule_that_keeps_what_is_written_is_named(self, db, cloud, owner):
        owner.run_script("CREATE RULE keep AS ON UPDATE TO app_users DO INSTEAD NOTHING")
        check = doctor._rights(db)
        assert not check.ok
        assert check.says.startswith("the rule keep on app_users does something else instead")

    def test_a_view_in_the_place_of_a_table_is_told(self, db, cloud, owner):
        assert "view" not in doctor._rights(db).says
        owner.run_script(
            "ALTER TABLE apps RENAME TO all_apps; CREATE VIEW apps AS SELECT * FROM all_apps WHERE platform = 'ios';"
            "SELECT grant_job_rights()"
        )
        check = doctor._rights(db)
        assert check.ok, check
        assert check.says.endswith("; apps is a view: rows that it does not select are invisible")
