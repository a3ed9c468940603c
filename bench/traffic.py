"""Shared parts of the event tables' benchmarks: months of rows, concurrent traffic, and measurements."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from nightshift.base.errors import DatabaseBusy
from nightshift.base.settings import Settings
from nightshift.database.migrations import create_first_partitions
from nightshift.database.queries import Database

ROLE = "nightshift_maintenance"
# The required text columns of each event table.
COLUMNS = {"events": ("message",), "metric_events": ("metric_slug", "phase"), "funnel_events": ("step_name",)}
INSERT = (
    'INSERT INTO events (app_id, message, "timestamp")'
    " VALUES (gen_random_uuid(), repeat('x', 500), clock_timestamp())"
)
# now() is evaluated at execution, so the plan contains, and the query locks, every partition.
SELECT = "SELECT count(*) FROM events WHERE \"timestamp\" > now() - interval '1 second'"
READER_S = 10
QUIET_S = 2
PAUSE_S = 0.002

PROCESSES = multiprocessing.get_context("spawn")
# Autovacuum and full-page writes would add WAL at arbitrary times.
QUIET_SERVER = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "checkpoint_timeout": "1h"}


@dataclass(frozen=True)
class Figures:
    """The measured figures. ``wal_bytes`` excludes the WAL of the inserts."""

    duration_s: float
    longest_insert_s: float
    longest_select_s: float
    longest_transaction_s: float
    wal_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.duration_s:.1f} s; longest insert {self.longest_insert_s * 1000:.0f} ms, longest select"
            f" {self.longest_select_s * 1000:.0f} ms, longest transaction {self.longest_transaction_s * 1000:.0f} ms,"
            f" WAL {self.wal_bytes / 1024:.0f} KiB"
        )

    def stalls_beside(self, plain: "Figures") -> str:
        return (
            f"longest stall: inserts {plain.longest_insert_s / self.longest_insert_s:.0f} times shorter,"
            f" selects {plain.longest_select_s / self.longest_select_s:.0f} times"
        )


def fill_months(owner: Database, months: Sequence[date], *, rows: int) -> None:
    """Create a partition of each event table for each month, with ``rows`` rows of about 700 bytes."""
    for month in months:
        create_first_partitions(owner, today=month, months_ahead=0)
        for table, columns in COLUMNS.items():
            values = ["repeat('x', 500)"] * len(columns)
            owner.run_script(
                f'INSERT INTO {table} (app_id, {", ".join(columns)}, "timestamp")'
                f" SELECT gen_random_uuid(), {', '.join(values)},"
                f" timestamptz '{month} 00:00+00' + n * interval '1 minute' FROM generate_series(1, {rows}) n"
            )
    owner.run_script("ANALYZE")


def measure(work: Callable[[], None], settings: Settings) -> Figures:
    """Measure ``work`` during inserts into the current month, selects, and one query on events for ten seconds."""
    db = Database(settings)
    # Otherwise the WAL of the inserts would exceed that of the work by far.
    db.run_script(f"ALTER TABLE events_{date.today():%Y_%m} SET UNLOGGED")
    began_wal = wal_bytes(db)
    for _ in range(500):
        db.run_script(INSERT)
    wal_an_insert = (wal_bytes(db) - began_wal) / 500
    began_wal = wal_bytes(db)
    with repeated(settings, INSERT, SELECT) as (inserts, selects):
        time.sleep(QUIET_S)
        with _long_query(db, settings), _longest_transaction(settings) as longest_s:
            began = time.perf_counter()
            work()
            duration_s = time.perf_counter() - began
    wal = wal_bytes(db) - began_wal - int(wal_an_insert * len(inserts))
    db.close()
    return Figures(duration_s, max(inserts), max(selects), max(longest_s), wal)


@contextmanager
def repeated(settings: Settings, *statements: str) -> Iterator[list[list[float]]]:
    """Repeat each statement in a separate process. After the block, the lists hold the seconds of each execution."""
    stop, taken, load = PROCESSES.Event(), [], []
    for statement in statements:
        here, there = PROCESSES.Pipe()
        process = PROCESSES.Process(target=_repeat, args=(settings, statement, stop, there))
        process.start()
        here.recv()
        taken.append([])
        load.append((process, here))
    try:
        yield taken
    finally:
        stop.set()
        for times, (process, pipe) in zip(taken, load, strict=True):
            times += pipe.recv()
            process.join()


def _repeat(settings: Settings, statement: str, stop: Event, pipe: Connection) -> None:
    db, times = Database(settings), []
    db.run_script(statement)
    pipe.send("ready")
    while not stop.is_set():
        began = time.perf_counter()
        db.run_script(statement)
        times.append(time.perf_counter() - began)
        time.sleep(PAUSE_S)
    db.close()
    pipe.send(times)


@contextmanager
def _long_query(db: Database, settings: Settings) -> Iterator[None]:
    reader = Database(settings)

    def read() -> None:
        with suppress(DatabaseBusy):
            reader.run_script(f"SELECT pg_sleep({READER_S}) FROM (SELECT FROM events LIMIT 1) one")

    reading = threading.Thread(target=read)
    reading.start()
    while not db.run_script("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
        pass
    try:
        yield
    finally:
        db.run_script("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        reading.join()
        reader.close()


@contextmanager
def _longest_transaction(settings: Settings) -> Iterator[list[float]]:
    """Yield the age in seconds of ROLE's oldest transaction, sampled every ten milliseconds."""
    db, over, ages_s = Database(settings), threading.Event(), [0.0]

    def watch() -> None:
        while not over.wait(0.01):
            ((age_s,),) = db.run_script(
                "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8"
                f" FROM pg_stat_activity WHERE usename = '{ROLE}'"
            )
            ages_s.append(age_s)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield ages_s
    finally:
        over.set()
        watching.join()
        db.close()


def wal_bytes(db: Database) -> int:
    """Return all WAL bytes that the server has ever written."""
    return int(db.run_script("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")[0][0])
