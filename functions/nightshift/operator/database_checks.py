"""Checks of the database: does it accept writes, has it room and connections, and can it remove old row versions?"""

from functools import partial
from typing import NamedTuple

from nightshift.base.errors import DatabaseReadOnly, sentence
from nightshift.base.wording import short_duration
from nightshift.database.queries import Database, Row
from nightshift.operator.checks import READ_ONLY, Check, Finding, green, red

FULL = 0.9
GIB = 1024**3
# A snapshot this many transactions behind costs something: each of them may have left a row version that every later
# statement has to pass over.
FAR_BEHIND = 100_000


class Connections(NamedTuple):
    """The answer of database_connections.sql."""

    connections: int
    max_connections: int


def checks_of_database(db: Database, *, limit_gib: float) -> list[Check]:
    return [
        Check("database size", partial(_size, db, limit_gib=limit_gib)),
        Check("connections", partial(_connections, db)),
        Check("old snapshots", partial(_snapshots, db)),
    ]


def check_writable(db: Database) -> Finding:
    try:
        db.require_writable()
    except DatabaseReadOnly as exc:
        return red(sentence(exc), do=READ_ONLY)
    return green("accepts reads and writes")


def _size(db: Database, *, limit_gib: float) -> Finding:
    size_bytes: int = db.query("database_size")[0]["bytes"]
    size_gib = size_bytes / GIB
    if not limit_gib:
        return green(f"{size_gib:.2f} GiB; no limit is set")
    says = f"{size_gib:.2f} of {limit_gib:g} GiB ({size_gib / limit_gib:.0%})"
    if size_gib <= limit_gib:
        return green(says)
    return red(
        says,
        do="db_pruning drops the oldest events every hour. To see its runs: nightshift system runs --type db_pruning",
    )


def _connections(db: Database) -> Finding:
    [found] = db.query_as(Connections, "database_connections")
    says = f"{found.connections} of {found.max_connections}"
    if found.connections < FULL * found.max_connections:
        return green(says)
    return red(says, do="Lower WorkerConcurrency, or use a larger database, which allows more.")


def _snapshots(db: Database) -> Finding:
    holder = db.one("oldest_snapshot")
    if holder is None:
        return green("no open transaction")
    says = f"{_holder(holder)} has the oldest, {holder['behind']:,} transactions behind"
    if holder["behind"] < FAR_BEHIND:
        return green(says)
    return red(
        f"{says}. Until it ends, Postgres removes no row version that was replaced since, and every statement gets "
        "slower",
        do=_remedy(holder),
    )


def _holder(holder: Row) -> str:
    details = [
        f"of {holder['owner']}" if holder["owner"] else "",
        f"({holder['application']})" if holder["application"] else "",
        f"open for {short_duration(holder['age_s'])}" if holder["age_s"] is not None else "",
    ]
    return " ".join([holder["kind"], holder["name"], *filter(None, details)])


def _remedy(holder: Row) -> str:
    """Return how to end the holder."""
    quoted = "'" + holder["name"].replace("'", "''") + "'"
    return {
        "session": f"Wait for it if it is a dump. Otherwise: SELECT pg_terminate_backend({holder['name']});",
        "prepared transaction": f"COMMIT PREPARED {quoted}; or ROLLBACK PREPARED {quoted};",
        "replication slot": f"If its replica is gone: SELECT pg_drop_replication_slot({quoted});",
    }[holder["kind"]]
