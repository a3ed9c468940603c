"""Claim: partition_creation creates partitions without blocking traffic. A plain CREATE waits and blocks all others.

    make bench BENCH=partitions

Two copies of one database hold 24 months of three event tables. Each side creates the partitions of the next year,
while one process inserts into the current month, one selects through the parent, and a reader spends ten seconds in one
query on the table. One side works like the peer: CREATE TABLE … PARTITION OF, month by month. The other side is our job
through the executor, including every Wait. The output shows for both sides the created partitions and the duration, the
longest concurrent insert and select, the longest transaction of the role that creates partitions, and the WAL without
that of the inserts (whose table is unlogged).
"""

import dataclasses
import itertools
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from bench.parts import copy_of, create_database, settings_of, work_system_run
from bench.traffic import QUIET_SERVER, ROLE, Figures, fill_months, measure
from local.ports import free_port
from local.postgres import Postgres
from nightshift.base.settings import Settings
from nightshift.database.migrations import migrate
from nightshift.database.partitions import EVENT_TABLES, months
from nightshift.database.queries import Database

MONTHS = 24
AHEAD = 12
ROWS = 1_000
PARTITIONS = "SELECT event_table, name, since, until FROM event_partitions ORDER BY name"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(**QUIET_SERVER)
        try:
            _seed(server)
            plain, made_plainly = _measure(server, "plain", _create_plainly)
            ours, made = _measure(server, "ours", _work_the_job)
        finally:
            server.stop("immediate")
    assert made == made_plainly
    print(
        f"{ours.stalls_beside(plain)}; duration {ours.duration_s / plain.duration_s:.2f}, longest transaction"
        f" {ours.longest_transaction_s / plain.longest_transaction_s:.3f}, WAL {ours.wal_bytes / plain.wal_bytes:.2f}"
        " of the plain side's"
    )


def _seed(server: Postgres) -> None:
    create_database(server, "seeded")
    owner = Database(settings_of(server, "seeded", "postgres"))
    migrate(owner)
    today = date.today()
    fill_months(owner, months(date(today.year - MONTHS // 12, today.month, 1), ahead=MONTHS)[1:], rows=ROWS)
    owner.close()
    print(f"{MONTHS} months of {len(EVENT_TABLES)} tables; creating {AHEAD} months ahead")


def _measure(server: Postgres, name: str, create: Callable[[Settings], None]) -> tuple[Figures, list[object]]:
    """Return the measured figures and all partitions."""
    with copy_of(server, "seeded", name) as settings:
        owner = Database(settings)
        before = owner.run_script(PARTITIONS)
        figures = measure(lambda: create(settings), settings)
        after = owner.run_script(PARTITIONS)
        owner.close()
    print(f"{name:>5}: {len(after) - len(before)} partitions in {figures}")
    return figures, after


def _create_plainly(settings: Settings) -> None:
    db = Database(dataclasses.replace(settings, database_user=ROLE), lock_timeout="0", statement_timeout="0")
    for month, following in itertools.pairwise(months(date.today(), ahead=AHEAD + 1)[1:]):
        for table in EVENT_TABLES:
            db.run_script(
                f"CREATE TABLE {table}_{month:%Y_%m} PARTITION OF {table}"
                f" FOR VALUES FROM ('{month} 00:00+00') TO ('{following} 00:00+00')"
            )
    db.close()


def _work_the_job(settings: Settings) -> None:
    _, slices, waits = work_system_run("partition_creation", settings, PARTITION_MONTHS_AHEAD=str(AHEAD))
    print(f"       the job took {slices} slices and waited {waits} times")


if __name__ == "__main__":
    main()
