"""Claim: db_pruning does not block traffic. A plain DROP stops writers and readers for as long as one query runs.

    make bench BENCH=pruning

Two copies of one database hold 24 months of three event tables. Each side drops half of the data, while one process
inserts into the current month, one selects through the parent, and a reader spends ten seconds in one query on the
table. One side works like the peer: it drops the oldest partition with a plain DROP until the limit is met. The other
side is our job through the executor, including every Wait. The output shows for both sides the dropped partitions and
the duration, the longest concurrent insert and select, the longest transaction of the pruning role, and the WAL without
that of the inserts (whose table is unlogged).
"""

import dataclasses
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from bench.parts import copy_of, create_database, settings_of, work_system_run
from bench.traffic import QUIET_SERVER, ROLE, Figures, fill_months, measure
from local.ports import free_port
from local.postgres import Postgres
from nightshift.base.settings import Settings
from nightshift.database.migrations import create_first_partitions, migrate
from nightshift.database.partitions import EVENT_TABLES, months
from nightshift.database.queries import Database
from nightshift_jobs.db_pruning import job

MONTHS = 24
ROWS = 6_000
HISTORY = (
    "SELECT name FROM event_partitions WHERE until <= date_trunc('month', clock_timestamp(), 'UTC')"
    " ORDER BY since, position"
)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(**QUIET_SERVER)
        try:
            limit_bytes = _seed(server) // 2
            plain = _measure(server, "plain", _drop_plainly, limit_bytes)
            ours = _measure(server, "ours", _work_the_job, limit_bytes)
        finally:
            server.stop("immediate")
    print(ours.stalls_beside(plain))


def _seed(server: Postgres) -> int:
    """Fill the database and return its size in bytes."""
    create_database(server, "seeded")
    owner = Database(settings_of(server, "seeded", "postgres"))
    migrate(owner)
    today = date.today()
    create_first_partitions(owner, today=today)
    fill_months(owner, months(date(today.year - MONTHS // 12, today.month, 1), ahead=MONTHS - 1), rows=ROWS)
    size: int = owner.query("database_size")[0]["bytes"]
    owner.close()
    print(f"{MONTHS} months of {len(EVENT_TABLES)} tables, {size / 1024**2:.0f} MiB; dropping half of it")
    return size


def _measure(server: Postgres, name: str, prune: Callable[[Settings, int], None], limit_bytes: int) -> Figures:
    with copy_of(server, "seeded", name) as settings:
        owner = Database(settings)
        before = len(owner.run_script(HISTORY))
        figures = measure(lambda: prune(settings, limit_bytes), settings)
        dropped = before - len(owner.run_script(HISTORY))
        owner.close()
    print(f"{name:>5}: {dropped} partitions in {figures}")
    return figures


def _drop_plainly(settings: Settings, limit_bytes: int) -> None:
    db = Database(dataclasses.replace(settings, database_user=ROLE), lock_timeout="0", statement_timeout="0")
    for (name,) in db.run_script(HISTORY):
        if db.query("database_size")[0]["bytes"] <= limit_bytes:
            break
        db.run_script(f"DROP TABLE {name}")
    db.close()


def _work_the_job(settings: Settings, limit_bytes: int) -> None:
    limit_gb = repr(limit_bytes / job.GB)
    _, slices, waits = work_system_run("db_pruning", settings, MAX_DATABASE_SIZE_GB=limit_gb)
    print(f"       the job took {slices} slices and waited {waits} times")


if __name__ == "__main__":
    main()
