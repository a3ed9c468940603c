"""The simulator's database: the product's own migrations, with the simulator's clock and a record of changes."""

import dataclasses

from local import roles
from nightshift.base.settings import Settings
from nightshift.database.migrations import migrate
from nightshift.database.queries import Database
from nightshift.database.session_pins import pin, pin_session

# Functions that hide those of Postgres: a statement without a schema name gets the simulator's. Each reading of the
# clock is a microsecond later than the one before. now() would be the real time of a transaction.
CLOCK = """
CREATE SCHEMA simulated;
CREATE SEQUENCE simulated.clock;
CREATE SEQUENCE simulated.ids;
CREATE FUNCTION simulated.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$ SELECT timestamptz 'epoch' + nextval('simulated.clock') * interval '1 microsecond' $$;
CREATE FUNCTION simulated.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT timestamptz 'epoch' + last_value * interval '1 microsecond' FROM simulated.clock $$;
CREATE FUNCTION simulated.now() RETURNS timestamptz LANGUAGE plpgsql STABLE AS
    $$ BEGIN RAISE EXCEPTION 'now() is the start of the transaction: use clock_timestamp()'; END $$;
CREATE FUNCTION simulated.gen_random_uuid() RETURNS uuid LANGUAGE sql VOLATILE AS
    $$ SELECT CAST(md5('simulated' || nextval('simulated.ids')) AS uuid) $$;
GRANT USAGE ON SCHEMA simulated TO PUBLIC;
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA simulated TO PUBLIC;
"""
SEARCH_PATH = "public, simulated, pg_catalog, pg_temp"

# The simulator's clock (Play.tick) applies the time limits of the server. Deadlocks are detected at once.
LIMITS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "client_connection_check_interval": "0",
    "deadlock_timeout": "20ms",
}

# Record each committed change. The trigger's name sorts first, so that changes by other triggers come after it.
RECORDS = """
CREATE UNLOGGED TABLE simulated.records (
    number bigserial,
    at timestamptz NOT NULL DEFAULT simulated.statement_timestamp(),
    pid integer DEFAULT pg_backend_pid(),
    what text NOT NULL,
    before jsonb,
    after jsonb
);
CREATE FUNCTION simulated.record() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = simulated, pg_catalog AS $$
BEGIN
    INSERT INTO simulated.records (what, before, after) VALUES (TG_TABLE_NAME, to_jsonb(OLD), to_jsonb(NEW));
    RETURN NULL;
END $$;
-- A function keeps its plan. Planning takes longer than reading no record, as after most moves.
CREATE FUNCTION simulated.taken_records() RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY WITH taken AS (DELETE FROM simulated.records RETURNING *)
        SELECT to_jsonb(taken) || jsonb_build_object('seen_at', simulated.statement_timestamp())
        FROM taken ORDER BY number;
END $$;
CREATE TABLE steps (run_id text NOT NULL, place integer);
CREATE TABLE lone_steps (run_id text NOT NULL, lease_expires_at timestamptz, slice integer, status text);
GRANT ALL ON steps, lone_steps TO nightshift_worker, nightshift_maintenance;
"""
RECORDED = ("job_runs", "job_outbox", "job_schedule_slots", "job_pauses", "steps", "lone_steps")
RECORDER = (
    "CREATE TRIGGER a_record AFTER INSERT OR UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION simulated.record()"
)

# The right that the platform takes from the functions for a while.
RIGHT_IN_TROUBLE = "SELECT ON users"

# The tables that are not emptied between plays, because migrations filled them.
KEPT = ("nightshift_migrations", "job_deployment", "job_rights", "job_sweep")


def migrated(config: Settings, superuser: Database) -> Database:
    superuser.run_script(f"DROP DATABASE IF EXISTS {config.database_name} WITH (FORCE)")
    superuser.run_script(f"CREATE DATABASE {config.database_name}")
    owner = Database(dataclasses.replace(config, database_user="postgres"))
    owner.run_script(CLOCK)
    for role in roles.FUNCTIONS:
        if not owner.run_script(f"SELECT FROM pg_roles WHERE rolname = '{role}'"):
            owner.run_script(f"CREATE ROLE {role} LOGIN")
        owner.run_script(f"ALTER ROLE {role} IN DATABASE {config.database_name} SET search_path = {SEARCH_PATH}")
    pin_session(owner)
    migrate(owner)
    pin(owner)
    for role in roles.FUNCTIONS:
        for name, value in LIMITS.items():
            owner.run_script(f"ALTER ROLE {role} IN DATABASE {config.database_name} SET {name} = '{value}'")
    # These functions wait in real time; the simulator cancels their statements instead.
    for function in ("tell_of_ending(job_runs)", "cleanup_resource(text, uuid)"):
        owner.run_script(f"ALTER FUNCTION {function} RESET lock_timeout")
    owner.run_script(RECORDS)
    for table in RECORDED:
        owner.run_script(RECORDER.format(table))
    return owner


def emptied(owner: Database) -> str:
    tables = [
        name
        for (name,) in owner.run_script(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND relnamespace = 'public'::regnamespace AND NOT relispartition"
        )
    ]
    return f"TRUNCATE {', '.join(name for name in tables if name not in KEPT)}, simulated.records CASCADE"
