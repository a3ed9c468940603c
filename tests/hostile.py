"""A platform's database in which every setting that a session of ours could depend on is another one than ours."""

import os

from nightshift.database import Database

# Set by tests/test_hostile_settings.py for a run of its own.
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
    "role": "hostile",
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
    "idle_session_timeout": "100ms",
    "transaction_timeout": "1ms",
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
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
}


def spoil_database(superuser: Database, name: str) -> None:
    if ASKED_FOR in os.environ:
        _spoil(superuser, name, SETTINGS)


def spoil_path(superuser: Database, name: str) -> None:
    """After the set-up: the platform decides where the tables are made, and may think better of it later."""
    if ASKED_FOR in os.environ:
        _spoil(superuser, name, {"search_path": "hostile"})


def _spoil(superuser: Database, name: str, settings: dict[str, str]) -> None:
    statements = [
        f"ALTER DATABASE {name} SET {setting} = '{value}'"
        for setting, value in settings.items()
        if superuser.run_script(f"SELECT current_setting('{setting}', true)") != [[None]]
    ]
    superuser.run_script("; ".join(statements))
