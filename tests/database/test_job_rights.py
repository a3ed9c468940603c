"""The rights that job types declare: granted by a deployment, revoked by the deployment after they are gone."""

import pytest

from nightshift.base.errors import ConfigurationError, DatabaseLocked
from nightshift.database.queries import Database
from nightshift.jobs import JobType, rights
from nightshift.jobs.registry import JOB_TYPES
from nightshift.jobs.rights import declare_rights

Rights = dict[str, tuple[str, ...]]


def job_type(scope: str, declared: Rights) -> JobType:
    return JobType(name="bills", label="Bills", description="", scope=scope, rights=declared)


@pytest.fixture
def deploy(owner: Database, monkeypatch: pytest.MonkeyPatch):
    """Return a function that deploys a job type ``bills`` with these rights, or without one."""
    owner.run_script("CREATE TABLE bills (id int, paid boolean, customer text)")

    def deploy(declared: Rights | None, *, scope: str = "project") -> None:
        with monkeypatch.context() as patch:
            if declared is not None:
                patch.setitem(JOB_TYPES, "bills", job_type(scope, declared))
            declare_rights(owner)

    return deploy


def may(owner: Database, role: str, table: str = "bills") -> set[str]:
    found = owner.run_script(
        f"""
        SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) privilege
        WHERE has_table_privilege('{role}', '{table}', privilege)
        UNION ALL
        SELECT DISTINCT format('%s (%s)', privilege, attname)
        FROM pg_attribute, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) privilege
        WHERE attrelid = '{table}'::regclass AND attnum > 0
          AND has_column_privilege('{role}', attrelid, attnum, privilege)
          AND NOT has_table_privilege('{role}', attrelid, privilege)
        """
    )
    return {privilege for (privilege,) in found}


@pytest.mark.parametrize(("scope", "role"), rights.ROLE.items())
def test_a_job_gets_what_it_declares_as_the_role_of_its_scope(owner, deploy, scope, role) -> None:
    deploy({"bills": ("SELECT", "UPDATE (paid, customer)")}, scope=scope)
    assert may(owner, role) == {"SELECT", "UPDATE (paid)", "UPDATE (customer)"}
    for other in {*rights.ROLE.values()} - {role}:
        assert may(owner, other) == set()
    assert owner.query("missing_rights") == []


def test_the_next_deployment_takes_back_what_no_job_declares(owner, deploy) -> None:
    deploy({"bills": ("SELECT", "DELETE")})
    deploy({"bills": ("SELECT",)})
    assert may(owner, "nightshift_worker") == {"SELECT"}
    deploy(None)
    assert may(owner, "nightshift_worker") == set()


def test_a_job_that_goes_takes_nothing_from_the_others_and_the_engine(owner, deploy) -> None:
    before = may(owner, "nightshift_worker", "app_users"), may(owner, "nightshift_worker", "projects")
    deploy({"app_users": ("SELECT", "UPDATE (properties)", "DELETE"), "projects": ("SELECT",)})
    deploy(None)
    assert (may(owner, "nightshift_worker", "app_users"), may(owner, "nightshift_worker", "projects")) == before
    assert before[1] == {"SELECT"}


def test_a_dropped_table_is_in_the_way_only_while_a_job_declares_it(owner, deploy) -> None:
    deploy({"bills": ("SELECT",)})
    owner.run_script("DROP TABLE bills")
    with pytest.raises(
        ConfigurationError, match=r'"bills" does not exist \(GRANT SELECT ON bills .* as bills declares'
    ):
        deploy({"bills": ("SELECT",)})
    deploy(None)


def test_two_deployments_take_turns(owner, connect) -> None:
    other = connect(user="postgres", lock_timeout="50ms")
    owner.begin()
    declare_rights(owner)
    with pytest.raises(DatabaseLocked):
        declare_rights(other)
    owner.commit()
    declare_rights(other)


def test_a_refused_right_changes_nothing(owner, deploy) -> None:
    deploy({"bills": ("SELECT",)})
    with pytest.raises(ConfigurationError, match='column "amount" of relation "bills" does not exist'):
        deploy({"bills": ("DELETE", "UPDATE (amount)")})
    assert may(owner, "nightshift_worker") == {"SELECT"}


@pytest.mark.parametrize(
    "privileges",
    [(), ("select",), ("ALL",), ("SELECT; DROP",), ("DELETE (id)",), ("UPDATE ()",), ("SELECT ON x TO y --",)],
)
def test_a_declaration_that_is_no_right_is_refused_with_its_value(privileges) -> None:
    with pytest.raises(
        ConfigurationError, match="The rights of bills on bills must be a tuple of SELECT, INSERT, "
    ) as refused:
        job_type("project", {"bills": privileges})
    assert repr(privileges) in str(refused.value)


def test_the_database_refuses_it_too(owner) -> None:
    for privileges in ("{}", "{ALL}", "{SELECT ON x TO y --}", "{SELECT,NULL}"):
        with pytest.raises(Exception, match="job_rights_privileges_check"):
            owner.run_script(f"INSERT INTO job_rights VALUES ('nightshift_api', 'teams', '{privileges}', 'x')")
