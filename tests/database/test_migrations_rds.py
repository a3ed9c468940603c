"""The migrations on a server as RDS provides it: its master user creates roles and grants, but is not a superuser."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from nightshift.database.migrations import MigrationFailed, create_first_partitions, migrate
from nightshift.database.queries import Database, query_text, sql_directory
from nightshift.database.role_signin import set_sign_ins
from nightshift.database.session_pins import ROLES
from tests.support.fixtures import superuser_of_a_new_server

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.rds_superuser.html
RDS = """
    CREATE ROLE rds_iam;
    CREATE ROLE rds_superuser;
    GRANT rds_iam TO rds_superuser WITH ADMIN OPTION;
    CREATE ROLE master LOGIN CREATEROLE CREATEDB;
    GRANT rds_superuser TO master;
"""


@pytest.fixture
def rds() -> Iterator[Database]:
    """Connect as the server's superuser, which RDS gives to no one. Roles belong to a server, so it is a new one."""
    with superuser_of_a_new_server() as superuser:
        superuser.run_script(RDS)
        yield superuser


def owner_of_a_database(rds: Database, name: str) -> Database:
    rds.run_script(f"CREATE DATABASE platform OWNER {name}")
    return Database(replace(rds._config, database_name="platform", database_user=name))


def test_the_master_user_can_migrate_and_is_left_with_tokens_alone(rds: Database) -> None:
    master = owner_of_a_database(rds, "master")
    assert migrate(master, roles_auth="iam")[-1].startswith("jobs/")
    set_sign_ins(master, settings=replace(master._config, roles_auth="iam"))
    assert len(create_first_partitions(master, today=date(2026, 11, 30))) == 12
    assert migrate(master) == []
    assert master.query("missing_rights") == []
    master.close()
    # As nightshift.database.signin and docs/deploy.md state, the master user is a member of the roles that it created.
    members = "SELECT member::regrole::text FROM pg_auth_members WHERE roleid = 'nightshift_worker'::regrole"
    assert ["master"] in rds.run_script(members)
    assert rds.run_script("SELECT pg_has_role('nightshift_worker', 'rds_iam', 'MEMBER')") == [[True]]


def test_an_owner_who_may_not_grant_sign_in_is_told(rds: Database) -> None:
    rds.run_script("CREATE ROLE platform_owner LOGIN CREATEROLE")
    owner = owner_of_a_database(rds, "platform_owner")
    with pytest.raises(
        MigrationFailed, match=r"nothing was applied\. It cannot let roles sign in with tokens: GRANT rds_"
    ):
        migrate(owner, roles_auth="iam")
    assert owner.run_script("SELECT to_regclass('nightshift_migrations')") == [[None]]
    # With passwords, it needs no right on rds_iam.
    assert "jobs/0007_roles" in migrate(owner, roles_auth="secret")
    with pytest.raises(MigrationFailed, match="It cannot let roles sign in with tokens"):
        migrate(owner, roles_auth="iam")
    rds.run_script("GRANT rds_iam TO platform_owner WITH ADMIN OPTION")
    assert migrate(owner, roles_auth="iam") == []
    set_sign_ins(owner, settings=replace(owner._config, roles_auth="iam"))
    # What is done needs no right to do it again.
    rds.run_script("REVOKE rds_iam FROM platform_owner CASCADE; GRANT rds_iam TO nightshift_api")
    for role in ROLES:
        rds.run_script(f"GRANT rds_iam TO {role}")
    assert migrate(owner, roles_auth="iam") == []
    owner.close()


# A platform whose tables are in a schema of their own, and a role that may do all that the first installation needs.
PLATFORM = """
    CREATE ROLE platform_owner;
    CREATE ROLE nightshift_owner LOGIN CREATEROLE;
    GRANT platform_owner TO nightshift_owner;
    CREATE SCHEMA app;
    GRANT USAGE, CREATE ON SCHEMA app TO platform_owner WITH GRANT OPTION;
    ALTER ROLE nightshift_owner IN DATABASE platform SET search_path = app;
"""
# What is taken from that role, and the beginning of the sentence.
LACKS = [
    (
        "REVOKE GRANT OPTION FOR CREATE ON SCHEMA app FROM platform_owner",
        "It cannot give others the right to create in the schema app: "
        "GRANT CREATE ON SCHEMA app TO nightshift_owner WITH GRANT OPTION.",
    ),
    (
        "REVOKE GRANT OPTION FOR USAGE ON SCHEMA app FROM platform_owner",
        "It cannot let others use the schema app: GRANT USAGE ON SCHEMA app TO nightshift_owner WITH GRANT OPTION.",
    ),
    (
        "ALTER TABLE app.events OWNER TO another",
        "It has not the rights of another, which owns tables of the platform: GRANT another TO nightshift_owner.",
    ),
    (
        "ALTER TABLE app.users OWNER TO another",
        "It has not the rights of another, which owns tables of the platform: GRANT another TO nightshift_owner.",
    ),
    ("ALTER ROLE nightshift_owner NOCREATEROLE", "It cannot create roles: ALTER ROLE nightshift_owner CREATEROLE."),
    (
        "CREATE ROLE nightshift_notify",
        "It cannot change the role nightshift_notify, which another role created: "
        "GRANT nightshift_notify TO nightshift_owner WITH ADMIN OPTION.",
    ),
    (
        "CREATE ROLE nightshift_events",
        "It cannot change the role nightshift_events, which another role created: "
        "GRANT nightshift_events TO nightshift_owner WITH ADMIN OPTION.",
    ),
    (
        "ALTER ROLE nightshift_owner IN DATABASE platform SET search_path = nowhere",
        "No schema of its search_path exists: "
        "ALTER ROLE nightshift_owner IN DATABASE platform SET search_path = public.",
    ),
]


def test_an_owner_of_a_platform_is_told_all_that_it_lacks_before_anything_is_applied(rds: Database) -> None:
    rds.run_script("CREATE DATABASE platform")
    root = Database(replace(rds._config, database_name="platform"))
    root.run_script(PLATFORM)
    owner = Database(replace(root._config, database_user="nightshift_owner"))
    with root.transaction():
        root.run_script("SET LOCAL search_path = app; SET LOCAL ROLE platform_owner")
        for path in sorted((sql_directory() / "platform").glob("[0-9]*.sql")):
            root.run_script(path.read_text())
    root.run_script("CREATE ROLE another")
    for taken, says in LACKS:
        root.begin()
        root.run_script(f"GRANT ALL ON SCHEMA app TO another; {taken}")
        if "search_path" in taken:
            root.run_script("SET LOCAL search_path = nowhere")
        else:
            root.run_script("SET LOCAL search_path = app")
        root.run_script("SET LOCAL ROLE nightshift_owner")
        assert [row["says"] for row in root.query("owner_lacks", roles=list(ROLES), auth="none")] == [says], taken
        root.rollback()
    root.run_script("ALTER ROLE nightshift_owner NOCREATEROLE; CREATE ROLE nightshift_api")
    with pytest.raises(MigrationFailed) as failed:
        migrate(owner, folders=["jobs"])
    assert str(failed.value) == (
        "The schema owner lacks rights, so nothing was applied. It cannot create roles: "
        "ALTER ROLE nightshift_owner CREATEROLE. It cannot change the role nightshift_api, which another role created: "
        "GRANT nightshift_api TO nightshift_owner WITH ADMIN OPTION."
    )
    assert root.run_script("SELECT to_regclass('app.nightshift_migrations')") == [[None]]
    root.run_script("ALTER ROLE nightshift_owner CREATEROLE; DROP ROLE nightshift_api")
    assert migrate(owner, folders=["jobs"])[-1].startswith("jobs/")
    assert len(create_first_partitions(owner, today=date(2026, 11, 30))) == 12
    # After the first installation, the migrations of a release say themselves what they lack.
    root.run_script("ALTER ROLE nightshift_owner NOCREATEROLE")
    assert owner.query("owner_lacks", roles=list(ROLES), auth="secret") == []
    owner.close()
    root.close()


def test_an_old_server_is_told_first(rds: Database) -> None:
    rds.begin()
    # The version is a setting of the server that no statement changes, so the statement is given another one.
    text = query_text("owner_lacks").replace("160000", "999999").replace(":roles", "'{}'").replace(":auth", "'none'")
    [[says]] = rds.run_script(text)
    rds.rollback()
    assert says.startswith("The server is Postgres 1")
    assert says.endswith(": upgrade it to 16 or newer.")


def test_passwords_of_two_stacks_on_one_server_are_refused(rds: Database) -> None:
    first = owner_of_a_database(rds, "master")
    migrate(first, roles_auth="secret")
    rds.run_script("CREATE DATABASE second OWNER master")
    second = Database(replace(first._config, database_name="second"))
    with pytest.raises(
        MigrationFailed, match="The roles already sign in to Nightshift in the database platform of this"
    ):
        migrate(second, roles_auth="secret")
    # Tokens are made for a role, and serve all databases.
    assert "jobs/0007_roles" in migrate(second, roles_auth="iam")
    # The first stack is not disturbed by the second.
    assert migrate(first, roles_auth="secret") == []
    first.close()
    second.close()


def test_tokens_need_a_server_of_rds(superuser: Database) -> None:
    found = superuser.query("owner_lacks", roles=list(ROLES), auth="iam")
    assert "The server has no role rds_iam, so it is not of RDS: set DatabaseSignIn=password." in [
        row["says"] for row in found
    ]
