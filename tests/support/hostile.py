"""A platform's database in which every setting that our sessions could depend on has an unusual value."""

from local import roles
from nightshift.database.queries import Database

# tests/database/test_hostile_settings.py sets it for a separate run.
ASKED_FOR = "NIGHTSHIFT_HOSTILE_SETTINGS"

SETTINGS = {
    "client_encoding": "LATIN1",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Kolkata",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "xmlbinary": "hex",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "restrict_nonsystem_relation_kind": "view, foreign-table",
    "plpgsql.extra_errors": "all",
    "plpgsql.variable_conflict": "use_column",
    "row_security": "on",
    "synchronous_commit": "off",
    "session_replication_role": "replica",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "exit_on_error": "on",
    "idle_session_timeout": "1min",
    "transaction_timeout": "1min",
    "default_tablespace": "hostile",
    "temp_tablespaces": "hostile",
    "default_table_access_method": "hostile",
    "check_function_bodies": "off",
    "createrole_self_grant": "set, inherit",
    "plan_cache_mode": "force_generic_plan",
    "enable_partition_pruning": "off",
    "constraint_exclusion": "on",
    "jit": "on",
    "jit_above_cost": "0",
    "client_min_messages": "debug5",
    "statement_timeout": "5s",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1s",
}


# Only granted roles may use the schema, and call functions that are created in it later.
NOTHING_FOR_PUBLIC = (
    "REVOKE ALL ON SCHEMA public FROM PUBLIC; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"
)

# The schema with this name has an empty copy of each of our tables.
OTHERS = {"role": "hostile", "search_path": "hostile"}

DOUBLES = """
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
DO $$
DECLARE
    double name;
BEGIN
    FOR double IN SELECT relname FROM pg_class
                  WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP
        EXECUTE format('CREATE TABLE hostile.%I (LIKE public.%I INCLUDING ALL EXCLUDING INDEXES)', double, double);
        EXECUTE format('GRANT ALL ON hostile.%I TO PUBLIC', double);
    END LOOP;
END $$;
"""


def spoil_server(superuser: Database) -> None:
    """Create the roles of the settings, and a tablespace in which only its owner may create objects."""
    superuser.run_script("CREATE ROLE hostile")
    superuser.run_script("SET allow_in_place_tablespaces = on")
    superuser.run_script("CREATE TABLESPACE hostile LOCATION ''")


def spoil_database(superuser: Database, name: str) -> None:
    """Set everything that a platform may set for its database before Nightshift is installed."""
    superuser.run_script("; ".join(f"ALTER DATABASE {name} SET {each}" for each in _assignments(superuser, SETTINGS)))


def spoil_roles(superuser: Database, name: str) -> None:
    """Set more after the installation: for roles, and for the search path. Copies of the database have it, too."""
    superuser.run_script(f"ALTER DATABASE {name} SET search_path = 'hostile'")
    assignments = _assignments(superuser, SETTINGS | OTHERS)
    for role in roles.FUNCTIONS:
        superuser.run_script(f"GRANT hostile TO {role}")
        superuser.run_script("; ".join(f"ALTER ROLE {role} SET {each}" for each in assignments))


def _assignments(superuser: Database, settings: dict[str, str]) -> list[str]:
    """Yield ``name = 'value'`` for the settings that this version of Postgres has."""
    superuser.run_script("DO $$ BEGIN END $$")
    return [
        f"{name} = '{value}'"
        for name, value in settings.items()
        if superuser.run_script(f"SELECT current_setting('{name}', true)") != [[None]]
    ]
