"""Numbered SQL files, each applied once, in order, in a transaction of its own that also records it."""

import hashlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from nightshift.database import Database, sql_directory
from nightshift.errors import NightshiftError, sentence
from nightshift.partitions import EVENT_TABLES, months

# Any number will do, as long as nobody else in the database locks the same one.
LOCK = 0x6E69676874  # "night"

# Of the 300 seconds that the migrate function has.
STATEMENT_TIMEOUT_S = 270


class MigrationChanged(NightshiftError):
    """A migration differs from what was applied"""


class MigrationFailed(NightshiftError):
    """A migration failed; nothing of it took effect"""


def migrate(db: Database, *, folders: Sequence[str] = ("platform", "jobs")) -> list[str]:
    """Apply what is missing of sql/<folder>/NNNN_name.sql; returns the names applied now, like ``jobs/0001_job_runs``.

    Safe to repeat and to run twice at once: each migration is decided and done under one lock.
    Raises MigrationChanged for a file that is no longer what was applied, MigrationFailed with the database's sentence.
    """
    with db.transaction():
        db.query("lock_migrations", lock=LOCK)
        db.run_script(
            "CREATE TABLE IF NOT EXISTS nightshift_migrations ("
            " name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
    files = [path for folder in folders for path in sorted((sql_directory() / folder).glob("[0-9]*.sql"))]
    return [name for path in files if (name := _apply(db, path))]


def create_first_partitions(db: Database, *, today: date, months_ahead: int = 3) -> list[str]:
    """The current month's partition of each event table and the next ``months_ahead``; returns the names made now.

    Traffic may come at any time after this, the partition job only once a night; which names what could not be made.
    It is done as the tables' owner: what others left in their schema does not get to run with the caller's rights.
    """
    made = []
    for table in EVENT_TABLES:
        for month in months(today, ahead=months_ahead):
            with db.transaction():
                db.run_script("SET LOCAL ROLE nightshift_events")
                if db.query("create_month_partition", parent=table, month=month)[0]["outcome"] == "created":
                    made.append(f"{table}_{month:%Y_%m}")
    return made


def _apply(db: Database, path: Path) -> str | None:
    name = f"{path.parent.name}/{path.stem}"
    script = path.read_text()
    checksum = hashlib.sha256(script.encode()).hexdigest()
    with db.transaction():
        db.query("lock_migrations", lock=LOCK)
        applied = db.one("applied_migration", name=name)
        if applied and applied["checksum"] != checksum:
            raise MigrationChanged(
                f"Migration {name} was changed after it was applied on {applied['applied_at']:%Y-%m-%d}. "
                "Put it back as it was and add a new one."
            )
        if applied:
            return None
        try:
            # The server has to give up before the function does: nobody could tell it any more.
            db.run_script(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; {script}")
        except Exception as exc:
            raise MigrationFailed(f"Migration {name} failed: {sentence(exc)}") from exc
        db.query("record_migration", name=name, checksum=checksum)
    return name
