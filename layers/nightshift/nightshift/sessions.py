"""The settings that a session of ours depends on, pinned: a platform may set any of them for its whole database.

A setting of a role in a database outranks those of the role and of the database, and costs no statement, which a
connection proxy would punish: https://www.postgresql.org/docs/16/sql-alterrole.html
"""

from nightshift.database import Database, Row

PINS = {
    # How values are read and written.
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmlbinary": "base64",
    # What a statement means.
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "role": "none",
    "restrict_nonsystem_relation_kind": "",
    "plpgsql.extra_errors": "none",
    "plpgsql.variable_conflict": "error",
    # Rows that row-level security would hide are an error: an empty answer would pass for the truth.
    "row_security": "off",
    # Whether what was committed stays, and triggers and foreign keys do their work.
    "synchronous_commit": "on",
    "session_replication_role": "origin",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # When the server ends a session or a transaction: a job may call the outside for minutes between two statements.
    "exit_on_error": "off",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    # Where tables come to lie, and how.
    "default_tablespace": "",
    "temp_tablespaces": "",
    "default_table_access_method": "heap",
    "check_function_bodies": "on",
    "createrole_self_grant": "",
    # Optional filters fold away only when a statement is planned with its values; partitions likewise.
    "plan_cache_mode": "force_custom_plan",
    "enable_partition_pruning": "on",
    "constraint_exclusion": "partition",
    "jit": "off",
    "client_min_messages": "notice",
}

# A frozen Lambda may hold a run's row lock: without these the sweep could never take the run from it.
ROLE_LIMITS = {"statement_timeout": "30s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "10s"}

# A migration sets limits of its own, within the time that its function has.
OPERATOR_LIMITS = ROLE_LIMITS | {"statement_timeout": "270s"}

# Their search_path is pinned as that of the roles is: a trigger fires in the session of anyone who writes.
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
    "create_month_partition",
    "drop_detached_partition",
    "event_gaps",
    "event_tree",
    "tell_of_ending",
)


def unpinned(db: Database) -> list[Row]:
    """``subject``, ``setting``, ``found``, ``wanted`` and the ``statement`` that pins it, for each that is not."""
    wanted = PINS | ROLE_LIMITS
    db.run_script("DO $$ BEGIN END $$")  # the server knows the settings of a language that this session has used
    return db.query("unpinned", names=list(wanted), values=list(wanted.values()), functions=list(FUNCTIONS))


def pin(db: Database) -> None:
    """Pin what is not, for our roles in this database and for our functions; as their owner."""
    if statements := [row["statement"] for row in unpinned(db)]:
        db.run_script(";".join(statements))


def pin_session(db: Database) -> None:
    """The same for this one session of the operator's, whose role is the platform's and stays as it is."""
    wanted = {name: value for name, value in (PINS | OPERATOR_LIMITS).items() if name != "role"}
    db.query("pin_session", again_if_gone=True, names=list(wanted), values=list(wanted.values()))
