"""Numbered SQL files, each applied once, in order, in a transaction of its own that also records it."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

from nightshift.database import Database, sql_directory
from nightshift.errors import DatabaseLocked, NightshiftError, sentence
from nightshift.log import logger
from nightshift.partitions import find_gaps, months
from nightshift.sessions import pin, pin_session

# Any number will do, as long as nobody else in the database locks the same one.
LOCK = 0x6E69676874  # "night"

# For all migrations together, of the 300 seconds that the migrate function has.
TIME_LIMIT_S = 270

# Whoever comes after a migration in a lock's queue waits as long as it does, for tables that it holds already, too. So
# it gives way soon, before deadlock_timeout (1 s) makes Postgres choose whose statement to end, and lets them through.
LOCK_TIMEOUT_S, LOCK_PAUSE_S = 0.9, 2

# What a function that died or is frozen has in hand is given back soon.
GIVES_BACK = """
SET LOCAL idle_in_transaction_session_timeout = '10s';
DO $$ BEGIN
    SET LOCAL client_connection_check_interval = '2s';
EXCEPTION WHEN invalid_parameter_value THEN NULL;   -- a developer's system may not tell the server
END $$;
"""


class MigrationChanged(NightshiftError):
    """A migration differs from what was applied"""


class MigrationFailed(NightshiftError):
    """A migration failed; nothing of it took effect"""


def migrate(db: Database, *, folders: Sequence[str] = ("platform", "jobs")) -> list[str]:
    """Apply what is missing of sql/<folder>/NNNN_name.sql; returns the names applied now, like ``jobs/0001_job_runs``.

    Safe to repeat and to run twice at once: each migration is decided and done under one lock.
    Traffic goes on: a migration that does not get its locks at once is tried again while there is time.
    Afterwards the settings of our roles and functions in this database are pinned, whatever it was that changed them.
    Raises MigrationChanged for a file that is no longer what was applied, MigrationFailed with the database's sentence.
    """
    ends_at_s = time.monotonic() + TIME_LIMIT_S
    pin_session(db)
    _patiently(partial(_make_table, db), what="Creating the table of migrations", ends_at_s=ends_at_s)
    files = [path for folder in folders for path in sorted((sql_directory() / folder).glob("[0-9]*.sql"))]
    applied = [name for path in files if (name := _apply(db, path, ends_at_s=ends_at_s))]
    if "jobs" in folders:
        _patiently(partial(_pin, db), what="Pinning the settings of our roles", ends_at_s=ends_at_s)
    return applied


def _pin(db: Database) -> None:
    with _alone(db):
        pin(db)


def create_first_partitions(db: Database, *, today: date, months_ahead: int = 3) -> list[str]:
    """Cover the current month of each event table and the next ``months_ahead``; returns the names made now.

    Traffic may come at any time after this, the partition job only once a night; which names what could not be made.
    It is done as the tables' owner: what others left in their schema does not get to run with the caller's rights.
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
    with _alone(db):
        if elsewhere := db.one("migrations_elsewhere"):
            raise MigrationFailed(
                f"The table nightshift_migrations is in schema {elsewhere['schema']}, which is not in this "
                f"session's search_path ({elsewhere['search_path']}). Nothing was applied. Set the search_path of the "
                f"role that the functions connect as: ALTER ROLE nightshift_app IN DATABASE {elsewhere['database']} "
                f"SET search_path = {elsewhere['schema']}"
            )
        db.run_script(
            "CREATE TABLE IF NOT EXISTS nightshift_migrations ("
            " name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )


def _attempt(db: Database, path: Path, *, name: str, ends_at_s: float) -> str | None:
    script = path.read_text()
    checksum = hashlib.sha256(script.encode()).hexdigest()
    with _alone(db):
        applied = db.one("applied_migration", name=name)
        if applied and applied["checksum"] != checksum:
            raise MigrationChanged(
                f"Migration {name} was changed after it was applied on {applied['applied_at']:%Y-%m-%d}. "
                "Restore the file, and add a new migration instead."
            )
        if applied:
            return None
        try:
            # No statement may outlast the function: nobody could tell its error any more.
            remaining_ms = max(1, (ends_at_s - time.monotonic()) * 1000)
            db.run_script(f"SET LOCAL statement_timeout = {remaining_ms:.0f}; {script}")
        except DatabaseLocked:
            raise
        except Exception as exc:
            raise MigrationFailed(f"Migration {name} failed: {sentence(exc)}") from exc
        db.query("record_migration", name=name, checksum=checksum)
    return name


@contextmanager
def _alone(db: Database) -> Iterator[None]:
    """A transaction that one migrator has at a time."""
    with db.transaction():
        db.run_script(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_S * 1000:.0f}; {GIVES_BACK}")
        db.query("lock_migrations", lock=LOCK)
        yield
