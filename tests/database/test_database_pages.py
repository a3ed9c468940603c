"""The SQL of docs/deploy.md and docs/upgrade.md, run as RDS lets it run; and docs/platform.md against the schema."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nightshift.database.migrations import migrate
from nightshift.database.queries import Database, query_files
from nightshift.database.session_pins import FUNCTIONS
from nightshift.database.statements import parse
from tests.database.test_migrations_rds import RDS
from tests.support.fixtures import superuser_of_a_new_server

OBJECTS = """
    SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
    UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'nightshift%' AND rolname <> 'nightshift_owner'
"""


def sql_of(page: str, *, after: str) -> str:
    """Return the first SQL block below the heading ``after``."""
    return re.search(r"```sql\n(.*?)```", Path(page).read_text().split(f"\n{after}\n")[1], re.DOTALL)[1]


@pytest.fixture
def platform() -> Iterator[tuple[Database, Database]]:
    """The superuser, and the schema owner of the page, in a database that a platform has had for some time."""
    with superuser_of_a_new_server() as server:
        server.run_script(f"{RDS}; CREATE ROLE platform_owner LOGIN")
        server.run_script("CREATE DATABASE platform OWNER platform_owner")
        server.run_script(sql_of("docs/deploy.md", after="### 4. Create a schema owner"))
        opened = [
            Database(replace(server._config, database_name="platform", database_user=user))
            for user in ("postgres", "platform_owner", "nightshift_owner")
        ]
        superuser, platform_owner, schema_owner = opened
        platform_owner.run_script(Path("sql/platform/0001_platform.sql").read_text())
        yield superuser, schema_owner
        for db in opened:
            db.close()


def test_the_schema_owner_of_the_page_may_do_what_it_has_to(platform):
    superuser, schema_owner = platform
    assert migrate(schema_owner, folders=["jobs"])
    assert schema_owner.query("missing_rights") == []
    # The platform's own sign-in goes on: neither it nor its role is a member of rds_iam.
    assert superuser.run_script("SELECT pg_has_role('platform_owner', 'rds_iam', 'MEMBER')") == [[False]]


def test_the_platforms_tables_may_be_in_a_schema_of_their_own(platform):
    superuser, schema_owner = platform
    superuser.run_script("CREATE SCHEMA app AUTHORIZATION platform_owner")
    for table in COLUMNS:
        superuser.run_script(f"ALTER TABLE {table} SET SCHEMA app")
    [statement] = re.findall(r"`(ALTER ROLE nightshift_owner [^`]+)`", Path("docs/deploy.md").read_text())
    superuser.run_script(statement)
    schema_owner.close()  # a role's settings count from the next session on
    assert migrate(schema_owner, folders=["jobs"])
    assert schema_owner.query("missing_rights") == []
    assert superuser.run_script("SELECT to_regclass('app.job_runs') IS NOT NULL") == [[True]]


def test_what_the_page_removes_leaves_the_platform_as_it_was(platform):
    superuser, schema_owner = platform
    before = sorted(superuser.run_script(OBJECTS))
    migrate(schema_owner, folders=["jobs"])
    superuser.run_script("CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')")
    superuser.run_script("ALTER TABLE events_old OWNER TO nightshift_events")
    removal = sql_of("docs/upgrade.md", after="### Remove Nightshift from a database that you keep")
    assert set(re.findall(r"\w+", removal)) >= set(FUNCTIONS) - {"tell_of_ending"}
    schema_owner.run_script(removal)
    assert sorted(superuser.run_script(OBJECTS)) == sorted([*before, ["events_old"]])
    owners = "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'"
    assert superuser.run_script(owners) == [["platform_owner"]]


PLATFORM = Path("docs/platform.md").read_text()


def rows_of(heading: str) -> list[list[str]]:
    """Return the cells of the first table below ``heading`` of docs/platform.md, without its head."""
    below = re.split(r"^#+ ", PLATFORM.split(f"# {heading}\n")[1], flags=re.MULTILINE)[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


COLUMNS = {table: named(columns) for tables, columns in rows_of("Columns") for table in named(tables)}
# The page is about these jobs; it cannot know the jobs that an installation adds.
SHIPPED_JOBS = {
    "db_pruning", "partition_creation", "retention_cleanup", "revenuecat_backfill", "revenuecat_sync",
    "soft_delete_cleanup",
}  # fmt: skip
QUERIES = {
    name: parse(path.read_text()).text.rstrip().rstrip(";")
    for name, path in query_files().items()
    if "nightshift_jobs" not in path.parts or SHIPPED_JOBS & set(path.parts)
}
FAILS = """
    CREATE FUNCTION fails(statement text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE 'PREPARE probe AS ' || statement;
        DEALLOCATE probe;
        RETURN false;
    EXCEPTION WHEN OTHERS THEN
        RETURN true;
    END $$
"""
# Columns that no query names: the cleanup's functions are given their names, and a function writes the sync's pages.
OF_FUNCTIONS = {
    ("app_users", "total_revenue_usd_cents"), ("app_users", "revenue_synced_at"),
    ("api_keys", "app_id"), ("project_integrations", "id"),
    *((table, column) for table in ("metric_definitions", "funnel_definitions")
      for column in ("id", "project_id", "deleted_at")),
    *((table, column) for table in ("events", "metric_events", "funnel_events") for column in ("app_id", "timestamp")),
}  # fmt: skip


class TestPlatform:
    def test_the_statements_need_exactly_the_columns_that_the_page_names(self, owner):
        """Rename each column in turn: a statement fails to be prepared exactly if the page names the column."""
        owner.run_script(FAILS)
        assert not any(self.failing(owner, QUERIES.values()))
        columns = owner.run_script(
            "SELECT class.relname::text, attname::text FROM pg_attribute JOIN pg_class class ON class.oid = attrelid"
            " WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped"
        )
        there = {(table, column) for table, column in columns if table in COLUMNS}
        page = {(table, column) for table, columns in COLUMNS.items() for column in columns}
        assert page <= there
        for table, column in sorted(there):
            owner.run_script(f'ALTER TABLE {table} RENAME COLUMN "{column}" TO renamed')
            needed = any(self.failing(owner, QUERIES.values())) or (table, column) in OF_FUNCTIONS
            owner.run_script(f'ALTER TABLE {table} RENAME COLUMN renamed TO "{column}"')
            assert needed == ((table, column) in page), f"{table}.{column}"

    @staticmethod
    def failing(owner, statements):
        literals = ", ".join("$statement$" + statement + "$statement$" for statement in statements)
        return [
            fails for [fails] in owner.run_script(f"SELECT fails(statement) FROM unnest(ARRAY[{literals}]) statement")
        ]

    def test_the_page_names_each_statement_that_touches_a_table(self):
        page = {
            table: set(named(statements)) for cell, statements in rows_of("Statements") for [table] in [named(cell)]
        }
        for table in COLUMNS:
            touches = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE|USING)\s+\(?{table}\b")
            found = {name for name, text in QUERIES.items() if touches.search(re.sub(r"'[^']*'", "", text))}
            assert page.get(table, set()) == found, table

    def test_the_page_names_each_right(self, owner):
        page = {(*named(role), *named(table), rights) for role, table, rights in rows_of("Rights")}
        rights = owner.run_script(
            "SELECT role, table_name, array_to_string(privileges, ', ') FROM job_rights WHERE declared_by = ''"
        )
        tables = COLUMNS.keys()
        assert page == {(role, table, may) for role, table, may in rights if table in tables}

    def test_the_setup_functions_inserts_are_as_the_page_says(self):
        inserts = re.compile(
            r"INSERT INTO (\w+)(?: AS \w+)? \(([^)]*)\).*?(?:ON CONFLICT (\(.*?\)(?: WHERE [\w ]+?)?) DO|$)", re.DOTALL
        )
        found = {
            (table, tuple(columns.split(", ")), index)
            # The backfill inserts in a function of the database.
            for text in [*QUERIES.values(), *(path.read_text() for path in Path("sql/jobs").glob("*.sql"))]
            for table, columns, index in inserts.findall(text)
            if table in COLUMNS
        }
        page = {
            (*named(table), tuple(named(columns)), "".join(named(index)))
            for table, columns, index in rows_of("The setup function")
        }
        assert page == found
