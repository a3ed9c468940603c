"""The pinned settings of our roles' sessions, on a separate server: a role has its settings in all its databases."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from local import roles
from nightshift.database.migrations import MigrationFailed, migrate
from nightshift.database.queries import Database
from nightshift.database.session_pins import OPERATOR_LIMITS, PINS, ROLE_LIMITS, ROLES, pin_session, unpinned
from nightshift.operator import doctor
from tests.support import hostile
from tests.support.fixtures import superuser_of_a_new_server

ACCESS_METHOD = "CREATE ACCESS METHOD hostile TYPE TABLE HANDLER heap_tableam_handler"


@pytest.fixture(scope="module")
def root() -> Iterator[Database]:
    with superuser_of_a_new_server() as db:
        hostile.spoil_server(db)
        yield db


@pytest.fixture
def operator(root: Database) -> Iterator[Database]:
    """Connect to a hostile database in which Nightshift was installed."""
    root.run_script("CREATE DATABASE platform")
    hostile.spoil_database(root, "platform")
    db = Database(replace(root._config, database_name="platform"))
    db.run_script("SET default_transaction_read_only = off")
    db.run_script(f"{ACCESS_METHOD}; {hostile.NOTHING_FOR_PUBLIC}")
    db.close()
    migrate(db)
    db.run_script(hostile.DOUBLES)
    hostile.spoil_roles(root, "platform")
    db.close()
    yield db
    db.close()
    for role in roles.FUNCTIONS:
        root.run_script(f"ALTER ROLE {role} RESET ALL")
    root.run_script("DROP DATABASE platform WITH (FORCE)")


def settings_of(db: Database, names) -> dict[str, str]:
    """Return the settings that this version of Postgres has, as a new session finds them."""
    db.close()
    db.run_script("DO $$ BEGIN END $$")
    found = {name: db.run_script(f"SELECT current_setting('{name}', true)")[0][0] for name in names}
    # An empty list is shown as a list with one empty name.
    return {name: value.replace('""', "") for name, value in found.items() if value is not None}


def reset(root: Database, *names: str, name: str = "platform") -> None:
    for role in names:
        root.run_script(f"ALTER ROLE {role} IN DATABASE {name} RESET ALL")


@pytest.mark.parametrize("role", roles.FUNCTIONS)
def test_every_setting_is_ours_and_without_the_pins_none_is(operator, root, role):
    db = Database(replace(operator._config, database_user=role))
    wanted = PINS | ROLE_LIMITS | {"search_path": "public, pg_temp"}
    pinned = settings_of(db, wanted)
    assert pinned == {name: wanted[name] for name in pinned}
    assert (
        len(pinned) >= len(wanted) - 2
    )  # transaction_timeout exists since 17, restrict_nonsystem_relation_kind since 16.4

    reset(root, role)
    db.close()
    # Settings that make the session read-only, idle or blind must not affect the test's own queries.
    spoiled = {}
    for name in pinned:
        db.close()
        spoiled |= settings_of(db, [name])
    db.close()
    assert [name for name in pinned if spoiled[name] == pinned[name]] == []


def test_the_operators_own_session_is_as_ours_are_but_for_its_role_and_limits(operator):
    pin_session(operator)
    wanted = PINS | OPERATOR_LIMITS | {"search_path": "public, pg_temp"}
    found = {name: operator.run_script(f"SELECT current_setting('{name}', true)")[0][0] for name in wanted}
    unknown = [name for name in found if found[name] is None]
    assert {name: value for name, value in found.items() if value is not None} == {
        name: value for name, value in wanted.items() if name not in unknown
    }


def test_tables_are_made_where_and_as_postgres_makes_them_by_default(operator):
    pin_session(operator)
    strange = """
        SELECT relname FROM pg_class LEFT JOIN pg_am ON pg_am.oid = relam
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
          AND (reltablespace <> 0 OR amname NOT IN ('heap', 'btree'))
    """
    assert operator.run_script(strange) == []


def test_each_database_of_a_server_has_pins_of_its_own(operator, root):
    root.run_script("CREATE DATABASE another")
    another = Database(replace(operator._config, database_name="another"))
    try:
        another.run_script("CREATE SCHEMA app; ALTER DATABASE another SET search_path = 'app'")
        another.close()
        migrate(another)
        for role in roles.FUNCTIONS:
            db = Database(replace(another._config, database_user=role))
            assert settings_of(db, ["search_path", "DateStyle"]) == {
                "search_path": "app, pg_temp",
                "DateStyle": "ISO, MDY",
            }
            assert db.run_script("SELECT CAST('job_runs' AS regclass)::text") == [["job_runs"]]
            db.close()
    finally:
        another.close()
        root.run_script("DROP DATABASE another")


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ("ALTER ROLE nightshift_worker IN DATABASE platform SET DateStyle = 'SQL, DMY'", "nightshift_worker"),
        ("ALTER ROLE nightshift_maintenance IN DATABASE platform RESET ALL", "nightshift_maintenance"),
        ("ALTER ROLE nightshift_api IN DATABASE platform SET search_path = 'public'", None),
        ("ALTER FUNCTION announce_ending RESET search_path", "function announce_ending()"),
    ],
)
def test_a_deployment_pins_again_what_was_changed(operator, change, subject):
    pin_session(operator)
    assert unpinned(operator) == []
    operator.run_script(change)
    changed = unpinned(operator)
    if subject is None:  # The operator chooses the search path of nightshift_api; all others follow it.
        assert {row.wanted for row in changed} == {"public"}
        assert "nightshift_api" not in {row.subject for row in changed}
    else:
        assert {row.subject for row in changed} == {subject}
    migrate(operator)
    assert unpinned(operator) == []


def test_each_role_with_rights_is_pinned(operator):
    pin_session(operator)
    assert {role for (role,) in operator.run_script("SELECT role FROM job_rights")} == {*ROLES} == {*roles.FUNCTIONS}


def test_no_function_of_ours_depends_on_who_calls_it(operator):
    pin_session(operator)
    free = """
        SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
          AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=public, pg_temp']
    """
    # A function that a migration adds must be listed in nightshift.database.session_pins.FUNCTIONS.
    assert operator.run_script(free) == []


def test_our_roles_may_call_every_function_of_ours_also_where_public_may_call_none(operator):
    pin_session(operator)
    # Trigger functions are called by their trigger, for every writing role.
    barred = """
        SELECT proname::text FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prorettype <> 'trigger'::regtype
          AND proname NOT IN ('declare_job_rights', 'grant_job_rights')     -- the schema owner's
          AND NOT has_function_privilege(CASE WHEN proname LIKE 'job_revenuecat%' THEN 'nightshift_worker'
                                                  WHEN proname = 'take_sign_in_share' THEN 'nightshift_notify'
                                              ELSE 'nightshift_maintenance' END, oid, 'EXECUTE')
    """
    assert operator.run_script(barred) == []
    for role in roles.FUNCTIONS:
        may_end_runs = role not in ("nightshift_notify", "nightshift_deliver", "nightshift_setup")
        assert operator.run_script(
            f"SELECT has_function_privilege('{role}', 'tell_of_ending(job_runs)', 'EXECUTE')"
        ) == [[may_end_runs]]


def test_a_person_with_another_path_ends_a_run_as_the_engine_does(operator, root):
    operator.run_script(
        "SET search_path = hostile; SET default_transaction_read_only = off; SET session_replication_role = origin"
    )
    operator.run_script(
        "INSERT INTO public.job_runs (id, job_type, triggered_by, resend_at, started_at, status)"
        " VALUES (gen_random_uuid(), 'db_pruning', 'schedule', now(), now(), 'running');"
        "UPDATE public.job_runs SET status = 'completed', completed_at = now(), resend_at = NULL"
    )
    assert operator.run_script("SELECT count(*) FROM public.job_outbox") == [[1]]
    assert operator.run_script("SELECT count(*) FROM hostile.job_outbox") == [[0]]


def test_an_installation_that_the_session_does_not_find_is_not_made_anew(operator, root):
    reset(root, *roles.FUNCTIONS)
    pin_session(operator)
    operator.run_script("DROP TABLE hostile.nightshift_migrations")
    root.run_script("ALTER DATABASE platform SET search_path = 'hostile'")
    operator.close()
    with pytest.raises(MigrationFailed, match=r"is in schema public, which is not in this session's search_path"):
        migrate(operator)


def test_the_doctor_names_what_is_not_pinned_and_how_it_is(operator, root):
    db = Database(replace(operator._config, database_user="nightshift_operate"))
    try:
        assert doctor._settings(db).ok
        root.run_script("ALTER ROLE nightshift_api IN DATABASE platform SET DateStyle = 'SQL, DMY'")
        check = doctor._settings(db)
        assert not check.ok
        assert check.says == "nightshift_api: DateStyle is SQL, DMY, not ISO, MDY"
        assert "ALTER ROLE nightshift_api IN DATABASE platform SET DateStyle = 'ISO, MDY'" in check.do
    finally:
        db.close()
