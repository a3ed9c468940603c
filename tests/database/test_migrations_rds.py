"""The migrations on a server as RDS provides it: its master user creates roles and grants, but is not a superuser."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from nightshift.database.migrations import MigrationFailed, create_first_partitions, migrate
from nightshift.database.queries import Database
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
    assert migrate(master)[-1].startswith("jobs/")
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
    with pytest.raises(MigrationFailed, match='jobs/0007_roles failed: permission denied to grant role "rds_iam"'):
        migrate(owner)
    rds.run_script("GRANT rds_iam TO platform_owner WITH ADMIN OPTION")
    assert "jobs/0007_roles" in migrate(owner)
    owner.close()
