"""Migrations: numbered SQL files, each applied once, in order, in its own transaction, which also records it."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from functools import partial
from pathlib import Path

from nightshift.base.errors import DatabaseGone, DatabaseLocked, NightshiftError, sentence
from nightshift.base.logger import logger
from nightshift.database.partitions import find_gaps, months
from nightshift.database.queries import Database, sql_directory
from nightshift.database.session_pins import ROLES, pin, pin_session

# Any number works, as long as no other program locks the same one in this database.
LOCK = 0x6E69676874  # "night"

# The limit for all migrations together. The migrate function's timeout is 300 seconds.
TIME_LIMIT_S = 270

# A migration that waits for a lock blocks all sessions behind it in the queue, and those that need a table that it has
# already locked. So it gives up and retries before deadlock_timeout (1 s), when Postgres would end a statement.
LOCK_TIMEOUT_S, LOCK_PAUSE_S = 0.9, 2

# A time that no server has by default.
ASKED_FOR_MS = 1234

# A function that died or is frozen must release its locks soon.
GIVES_BACK = """
SET LOCAL idle_in_transaction_session_timeout = '10s';
DO $$ BEGIN
    SET LOCAL client_connection_check_interval = '2s';
EXCEPTION WHEN invalid_parameter_value THEN NULL;   -- not supported on every operating system
END $$;
"""


class MigrationChanged(NightshiftError):
    """A migration differs from what was applied"""


class MigrationFailed(NightshiftError):
    """A migration failed and was rolled back"""


def migrate(db: Database, *, folders: Sequence[str] = ("platform", "jobs"), roles_auth: str = "none") -> list[str]:
    """Apply the missing files sql/<folder>/NNNN_name.sql. Return their names, like ``jobs/0001_runs``.

    Safe to repeat and to run concurrently: each migration is checked and applied under one lock.
    Traffic continues: a migration that does not get its locks at once is retried while time is left.
    Afterwards the settings of our roles and functions in this database are pinned again, even if others changed them.
    Raises MigrationChanged for a file that was edited after it was applied, and MigrationFailed with the database's
    error or, before anything is applied, with all that the schema owner lacks, or because the host is a pooler.
    ``roles_auth`` is how the functions' roles will sign in.
    """
    ends_at_s = time.monotonic() + TIME_LIMIT_S
    _refuse_pooler(db)
    pin_session(db)
    if lacks := [row["says"] for row in db.query("owner_lacks", roles=list(ROLES), auth=roles_auth)]:
        raise MigrationFailed(f"The schema owner lacks rights, so nothing was applied. {' '.join(lacks)}")
    _patiently(partial(_make_table, db), what="Creating the table of migrations", ends_at_s=ends_at_s)
    files = [path for folder in folders for path in sorted((sql_directory() / folder).glob("[0-9]*.sql"))]
    applied = [name for path in files if (name := _apply(db, path, ends_at_s=ends_at_s))]
    if "jobs" in folders:
        _patiently(partial(_pin, db), what="Pinning the settings of our roles", ends_at_s=ends_at_s)
    return applied


def _refuse_pooler(db: Database) -> None:
    """Raise MigrationFailed if the server does not get a session's own settings, as migrations and system jobs need."""
    with closing(db.sibling(lock_timeout=f"{ASKED_FOR_MS}ms")) as probe:
        try:
            [[found]] = probe.run_script("SHOW lock_timeout")
        except DatabaseGone as exc:
            if "startup parameter" not in str(exc):
                raise
            found = "refused"
    if found != f"{ASKED_FOR_MS}ms":
        raise MigrationFailed(
            "The database's host is a pooler, which does not pass on the settings of a session. Nothing was applied. "
            "Set DatabaseDirectHost to the address of the Postgres server itself."
        )


def _pin(db: Database) -> None:
    with alone(db):
        pin(db)


def create_first_partitions(db: Database, *, today: date, months_ahead: int = 3) -> list[str]:
    """Create partitions for the current month and the next ``months_ahead``. Return the names of those created.

    Traffic may start right after this, but the partition job runs only once a night. That job reports partitions that
    cannot be created. This runs as the schema owner, so that objects of others in the tables' schema never run with the
    caller's rights.
    """
    made = []
    with _as_owner_of_events(db):
        gaps = find_gaps(db.query, first=today, last=months(today, ahead=months_ahead)[-1])
    for gap in gaps:
        with _as_owner_of_events(db):
            since, until = gap["since"], gap["until"]
            found = db.query("create_event_partition", parent=gap["event_table"], since=since, until=until)[0]
        if found["outcome"] == "created":
            made.append(found["detail"])
    return made


@contextmanager
def _as_owner_of_events(db: Database) -> Iterator[None]:
    with db.transaction():
        db.run_script("SET LOCAL ROLE nightshift_events")
        yield


def _apply(db: Database, path: Path, *, ends_at_s: float) -> str | None:
    name = f"{path.parent.name}/{path.stem}"
    return _patiently(
        partial(_attempt, db, path, name=name, ends_at_s=ends_at_s), what=f"Migration {name}", ends_at_s=ends_at_s
    )


def _patiently(attempt: Callable[[], str | None], *, what: str, ends_at_s: float) -> str | None:
    while True:
        try:
            return attempt()
        except DatabaseLocked as exc:
            if time.monotonic() + LOCK_PAUSE_S > ends_at_s:
                raise MigrationFailed(
                    f"{what} failed: it could not get a lock within {TIME_LIMIT_S} s. "
                    "Find the session that holds it in pg_stat_activity, and retry after its transaction has ended."
                ) from exc
            logger.warning(f"{what} waits for a lock that another session holds", action="migration_waits")
            time.sleep(LOCK_PAUSE_S)


def _make_table(db: Database) -> None:
    with alone(db):
        if elsewhere := db.one("migrations_elsewhere"):
            raise MigrationFailed(
                f"The table nightshift_migrations is in schema {elsewhere['schema']}, which is not in this "
                f"session's search_path ({elsewhere['search_path']}). Nothing was applied. Set the search_path of the "
                f"role that the functions connect as: ALTER ROLE nightshift_api IN DATABASE {elsewhere['database']} "
                f"SET search_path = {elsewhere['schema']}"
            )
        db.run_script(
            "CREATE TABLE IF NOT EXISTS nightshift_migrations ("
            " name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )


def _attempt(db: Database, path: Path, *, name: str, ends_at_s: float) -> str | None:
    script = path.read_text()
    checksum = hashlib.sha256(script.encode()).hexdigest()
    with alone(db):
        applied = db.one("applied_migration", name=name)
        if applied and applied["checksum"] != checksum:
            raise MigrationChanged(
                f"Migration {name} was changed after it was applied on {applied['applied_at']:%Y-%m-%d}. "
                "Restore the file, and add a new migration instead."
            )
        if applied:
            return None
        try:
            # A statement that outlasts the function could not report its error.
            remaining_ms = max(1, (ends_at_s - time.monotonic()) * 1000)
            db.run_script(f"SET LOCAL statement_timeout = {remaining_ms:.0f}; {script}")
        except DatabaseLocked:
            raise
        except Exception as exc:
            raise MigrationFailed(f"Migration {name} failed: {sentence(exc)}") from exc
        db.query("record_migration", name=name, checksum=checksum)
    return name


@contextmanager
def alone(db: Database) -> Iterator[None]:
    """Run the block in a transaction that only one migrator can hold at a time."""
    with db.transaction():
        db.run_script(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_S * 1000:.0f}; {GIVES_BACK}")
        db.query("lock_migrations", lock=LOCK)
        yield
