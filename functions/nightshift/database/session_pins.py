"""Pin the settings that our sessions depend on, because a platform may change any of them for its whole database.

They are set for our roles in this database, which overrides settings of the role or the database alone. It also needs
no statement per session, which a connection proxy would punish: https://www.postgresql.org/docs/16/sql-alterrole.html
"""

from typing import NamedTuple

from nightshift.database.queries import Database

# The roles that the functions connect as (sql/jobs/0007_roles.sql).
ROLES = (
    *("nightshift_api", "nightshift_worker", "nightshift_maintenance", "nightshift_sweep"),
    *("nightshift_notify", "nightshift_operate", "nightshift_setup", "nightshift_deliver"),
)

PINS = {
    # How values are read and written.
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmlbinary": "base64",
    # The meaning of statements.
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "role": "none",
    "restrict_nonsystem_relation_kind": "",
    "plpgsql.extra_errors": "none",
    "plpgsql.variable_conflict": "error",
    # Raise an error if row-level security would hide rows: an incomplete result would look like a complete one.
    "row_security": "off",
    # Durability of commits; triggers and foreign keys are active.
    "synchronous_commit": "on",
    "session_replication_role": "origin",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # When the server ends a session or a transaction: a job may call other services for minutes between two statements.
    # Idle for longer than any invocation runs: Lambda keeps environments of the last release, each with a session, and
    # does not tell them. Their sessions would add to those of the new release.
    "exit_on_error": "off",
    "idle_session_timeout": "5min",
    "transaction_timeout": "0",
    # How and where tables are stored.
    "default_tablespace": "",
    "temp_tablespaces": "",
    "default_table_access_method": "heap",
    "check_function_bodies": "on",
    "createrole_self_grant": "",
    # A statement that must be planned with its values is prepared anew before Postgres would keep a plan (queries.py).
    "plan_cache_mode": "auto",
    "enable_partition_pruning": "on",
    "constraint_exclusion": "partition",
    "jit": "off",
    "client_min_messages": "notice",
}

# A frozen Lambda may hold the lock of a run's row. Without these limits the sweep could never take the run from it.
ROLE_LIMITS = {"statement_timeout": "30s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "10s"}

# A migration sets its own limits, within the time limit of its function.
OPERATOR_LIMITS = ROLE_LIMITS | {"statement_timeout": "270s"}

# Their search_path is pinned like that of the roles, because a trigger also fires in other writers' sessions.
FUNCTIONS = (
    "announce_ending",
    "cleanup_batch",
    "cleanup_due",
    "cleanup_estimate",
    "cleanup_extent",
    "cleanup_hold",
    "cleanup_is_on_its_own",
    "cleanup_refusal",
    "cleanup_resource",
    "cleanup_runs",
    "create_event_partition",
    "declare_job_rights",
    "drop_detached_partition",
    "event_gaps",
    "event_tree",
    "forget_log_lines",
    "grant_job_rights",
    "job_revenuecat_insert",
    "job_revenuecat_place",
    "job_revenuecat_write",
    "job_revenuecat_write_page",
    "keep_log_lines",
    "retention_count",
    "take_sign_in_share",
    "tell_of_ending",
)


class Unpinned(NamedTuple):
    """A setting of a role or a function that differs from what it should be, and the statement that pins it."""

    subject: str
    setting: str
    found: str | None
    wanted: str
    statement: str


def unpinned(db: Database) -> list[Unpinned]:
    """Return the settings that are not pinned: ``subject``, ``setting``, ``found``, ``wanted`` and ``statement``.

    ``statement`` pins the setting.
    """
    wanted = PINS | ROLE_LIMITS
    db.run_script("DO $$ BEGIN END $$")  # loads PL/pgSQL, so that the server knows its settings in this session
    return db.query_as(
        Unpinned,
        "unpinned",
        names=list(wanted),
        values=list(wanted.values()),
        roles=list(ROLES),
        functions=list(FUNCTIONS),
    )


def pin(db: Database) -> None:
    """Pin missing settings for our roles in this database and for our functions. Needs the schema owner."""
    if statements := [row.statement for row in unpinned(db)]:
        db.run_script(";".join(statements))


def pin_session(db: Database) -> None:
    """Pin the settings for this session only: the operator's role belongs to the platform and must not change."""
    wanted = {name: value for name, value in (PINS | OPERATOR_LIMITS).items() if name != "role"}
    db.query("pin_session", again_if_gone=True, names=list(wanted), values=list(wanted.values()))
