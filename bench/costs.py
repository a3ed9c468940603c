"""Count the costs of an action for a database. The counts do not depend on the machine."""

import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.parts import settings_of
from local.ports import free_port
from local.postgres import POSTGRES_VERSION, POSTGRES_VERSIONS, Postgres
from nightshift.database.queries import Database

Kind = tuple[str, str]
"""The action of a record, like ``Heap HOT_UPDATE``, and its table or index, which is ``""`` for a commit."""

RECORD = re.compile(r"rmgr: (\w+)\s+len \(rec/tot\):\s*\d+/\s*(\d+), .*? desc: (\w+)")
PLACE = re.compile(r" blkref #0: rel \d+/(\d+)/(\d+)")
# The server's own records, whose number depends on time.
OF_THE_SERVER = re.compile(r"Standby RUNNING_XACTS|XLOG (CHECKPOINT|SWITCH)")
# A record begins at a multiple of this many bytes.
ALIGNED = 8

# One line for each statement that a client sends, with the name of its database.
STATEMENT = re.compile(rb"^\[(\w+)\] LOG:  (?:statement|execute)\b", re.MULTILINE)
# No images of whole pages, whose number depends on the last checkpoint, and no checkpoint that removes WAL.
COUNTED = {
    **{"fsync": "off", "full_page_writes": "off", "checkpoint_timeout": "1h", "max_wal_size": "16GB"},
    **{"log_statement": "all", "log_line_prefix": "[%d] ", "log_parameter_max_length": "0"},
}
COMMIT = "Transaction COMMIT"
# Each adds an entry to an index: a split adds the entry that did not fit.
ENTRY = re.compile(r"Btree (INSERT_LEAF|INSERT_POST|SPLIT_)")


@dataclass(frozen=True)
class Cost:
    """Counts of one action, or of several together. Those of WAL are also known by kind.

    ``transactions`` are all that the server committed, and most are single statements that only read. ``buffers`` are
    the pages that it found in memory or had to read.
    """

    statements: float
    transactions: float
    buffers: float
    wal_bytes: float
    records: dict[Kind, float]
    sizes: dict[Kind, float]

    @property
    def commits(self) -> float:
        """The transactions that wrote something: each waits for the disk."""
        return self.records.get((COMMIT, ""), 0)

    @property
    def wal_records(self) -> float:
        return sum(self.records.values())

    @property
    def index_entries(self) -> float:
        return sum(count for (what, _), count in self.records.items() if ENTRY.match(what))


@contextmanager
def counting_server(**options: str) -> Iterator[Postgres]:
    """Run a server that logs each statement. ``options`` are further server settings."""
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(**COUNTED, **options)
        try:
            yield server
        finally:
            server.stop("immediate")


def cost_of_each(
    work: Callable[[int], object], server: Postgres, database: str, *, few: int = 100, many: int = 1_100
) -> Cost:
    """Return the cost of one action. ``work(count)`` does ``count`` of them, and closes its connections.

    It is the difference between many and few, divided by their number: both include what a worker asks when it starts,
    stops or finds nothing to do. A first, unmeasured ``work`` fills the first pages of each table and index. No row is
    dead when a measurement begins.
    """
    work(few)
    less, more = (_cost(work, count, server, database) for count in (few, many))
    actions = many - few

    def each(small: dict[Kind, float], large: dict[Kind, float]) -> dict[Kind, float]:
        return {kind: (large.get(kind, 0) - small.get(kind, 0)) / actions for kind in small | large}

    return Cost(
        statements=(more.statements - less.statements) / actions,
        transactions=(more.transactions - less.transactions) / actions,
        buffers=(more.buffers - less.buffers) / actions,
        wal_bytes=(more.wal_bytes - less.wal_bytes) / actions,
        records=each(less.records, more.records),
        sizes=each(less.sizes, more.sizes),
    )


def _cost(work: Callable[[int], object], count: int, server: Postgres, database: str) -> Cost:
    with (
        closing(Database(settings_of(server, database, "postgres"))) as inside,
        closing(Database(settings_of(server, "postgres", "postgres"))) as outside,
    ):
        inside.run_script("VACUUM ANALYZE")
        inside.close()
        before, start = _counts(server, database, outside)
        work(count)
        after, end = _counts(server, database, outside)
        statements, transactions, buffers, wal_bytes = (now - then for now, then in zip(after, before, strict=True))
        records, sizes = Counter[Kind](), Counter[Kind]()
        for kind, size_bytes in records_between(start, end, server=server, db=inside):
            records[kind] += 1
            sizes[kind] += size_bytes
    return Cost(statements, transactions, buffers, wal_bytes, dict(records), dict(sizes))


def _counts(server: Postgres, database: str, outside: Database) -> tuple[tuple[int, ...], str]:
    """Return statements, transactions, buffers and bytes of WAL until now, and the position in the WAL."""
    # A session reports its counts when it ends, at the latest.
    while outside.run_script(f"SELECT FROM pg_stat_activity WHERE datname = '{database}'"):
        time.sleep(0.01)
    [[transactions, buffers, wal_bytes, position]] = outside.run_script(
        "SELECT xact_commit, blks_hit + blks_read, CAST(pg_wal_lsn_diff(here, '0/0') AS bigint), CAST(here AS text)"
        f" FROM pg_stat_database, pg_current_wal_insert_lsn() AS here WHERE datname = '{database}'"
    )
    sent = STATEMENT.findall((server.data / "server.log").read_bytes())
    return (sent.count(os.fsencode(database)), transactions, buffers, wal_bytes), position


def records_between(start: str, end: str, *, server: Postgres, db: Database) -> Iterator[tuple[Kind, int]]:
    """Yield kind and size of each record between two positions, but the server's own.

    ``db`` is a superuser's connection to the database whose tables and indexes are to be named.
    """
    names = {
        (str(database), str(file)): name
        for database, file, name in db.run_script(
            "SELECT here.oid, pg_relation_filenode(class.oid), relname FROM pg_class class, pg_database here"
            " WHERE datname = current_database() AND relkind IN ('r', 'i', 't', 'S')"
        )
    }
    db.run_script("SELECT pg_switch_wal()")  # writes the last records to their file
    command = [POSTGRES_VERSIONS[POSTGRES_VERSION] / "pg_waldump", "--path", server.data / "pg_wal"]
    listed = subprocess.run([*command, "--start", start, "--end", end], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        record, place = RECORD.match(line), PLACE.search(line)
        assert record, line
        manager, size_bytes, action = record.groups()
        if not OF_THE_SERVER.match(f"{manager} {action}"):
            name = names.get(place.groups(), "elsewhere") if place else ""
            yield (f"{manager} {action}", name), -(-int(size_bytes) // ALIGNED) * ALIGNED
