"""Claim: db_pruning keeps nobody waiting, where a plain DROP stops writers and readers for as long as one query runs.

    make bench BENCH=pruning

24 months of three event tables in two copies of one database. Half of it has to go, while one process inserts into the
current month, one selects through the parent, and a reader spends ten seconds in one query on the table. One side drops
as the peer does: the oldest partition by a plain DROP until the limit is met. The other is our job through the engine,
each Wait waited out. Prints of both: what went and how long it took, the longest insert and select meanwhile, the
longest transaction of the pruning role, and WAL without that of the inserts (whose table is unlogged).
"""

import dataclasses
import multiprocessing
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from datetime import date
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from bench.parts import free_port
from jobs import db_pruning
from local.postgres import Postgres
from nightshift import engine, outbox, queue
from nightshift import settings as settings_module
from nightshift.database import Database
from nightshift.migrations import create_first_partitions, migrate
from nightshift.partitions import EVENT_TABLES, months
from nightshift.settings import Settings

MONTHS = 24
ROWS = 6_000  # of about 700 bytes, a month and table
READER_S = 10
QUIET_S = 2
ROLE = "nightshift_maintenance"
COLUMNS = {"events": ("message",), "metric_events": ("metric_slug", "phase"), "funnel_events": ("step_name",)}
INSERT = (
    'INSERT INTO events (app_id, message, "timestamp")'
    " VALUES (gen_random_uuid(), repeat('x', 500), clock_timestamp())"
)
# now() is known only when the query runs: its plan, and its locks, have every partition.
SELECT = "SELECT count(*) FROM events WHERE \"timestamp\" > now() - interval '1 second'"
HISTORY = (
    "SELECT name FROM event_partitions WHERE until <= date_trunc('month', clock_timestamp(), 'UTC')"
    " ORDER BY since, position"
)


@dataclasses.dataclass
class Figures:
    dropped: int
    duration_s: float
    longest_insert_s: float
    longest_select_s: float
    longest_transaction_s: float
    wal_bytes: int


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        # Autovacuum and full pages write WAL when they please.
        server.start(fsync="off", full_page_writes="off", autovacuum="off", checkpoint_timeout="1h")
        try:
            size = _seed(server)
            plain = _measure(server, "plain", _drop_plainly, size)
            ours = _measure(server, "ours", _work_the_job, size)
        finally:
            server.stop("immediate")
    print(
        f"longest stall: inserts {plain.longest_insert_s / ours.longest_insert_s:.0f} times shorter,"
        f" selects {plain.longest_select_s / ours.longest_select_s:.0f} times"
    )


def _seed(server: Postgres) -> int:
    admin = Database(_settings(server, "postgres", "postgres"))
    admin.run_script("CREATE DATABASE seeded")
    owner = Database(_settings(server, "seeded", "postgres"))
    migrate(owner)
    today = date.today()
    create_first_partitions(owner, today=today)
    for month in months(date(today.year - MONTHS // 12, today.month, 1), ahead=MONTHS - 1):
        for table in EVENT_TABLES:
            owner.query("create_month_partition", parent=table, month=month)
            columns, values = COLUMNS[table], ["repeat('x', 500)"] * len(COLUMNS[table])
            owner.run_script(
                f'INSERT INTO {table} (app_id, {", ".join(columns)}, "timestamp")'
                f" SELECT gen_random_uuid(), {', '.join(values)},"
                f" timestamptz '{month} 00:00+00' + n * interval '1 minute' FROM generate_series(1, {ROWS}) n"
            )
    # Or the WAL of the inserts would drown that of the pruning.
    owner.run_script(f"ALTER TABLE events_{today:%Y_%m} SET UNLOGGED")
    owner.run_script("ANALYZE")
    size: int = owner.query("database_size")[0]["bytes"]
    owner.close()
    for name in ("plain", "ours"):
        admin.run_script(f"CREATE DATABASE {name} TEMPLATE seeded STRATEGY FILE_COPY")
    admin.close()
    print(f"{MONTHS} months of {len(EVENT_TABLES)} tables, {size / 1024**2:.0f} MiB; half of it has to go")
    return size


def _measure(server: Postgres, name: str, prune: Callable[[Settings, Database, int], None], size: int) -> Figures:
    settings = _settings(server, name, "postgres")
    owner, watcher, reader = (Database(settings) for _ in range(3))
    before = len(owner.run_script(HISTORY))
    wal_per_insert = _wal_of(owner, lambda: [owner.run_script(INSERT) for _ in range(500)]) / 500
    stop = multiprocessing.get_context("spawn").Event()
    load = [_Load(settings, statement, stop) for statement in (INSERT, SELECT)]
    time.sleep(QUIET_S)
    reading = threading.Thread(
        target=reader.run_script, args=(f"SELECT pg_sleep({READER_S}) FROM (SELECT FROM events LIMIT 1) one",)
    )
    reading.start()
    while not owner.run_script("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
        pass
    over, longest = threading.Event(), [0.0]
    watching = threading.Thread(target=_watch, args=(watcher, over, longest))
    watching.start()
    since, began = owner.run_script("SELECT pg_current_wal_lsn()::text")[0][0], time.monotonic()
    prune(settings, owner, size // 2)
    duration = time.monotonic() - began
    wal = int(owner.run_script(f"SELECT pg_current_wal_lsn() - '{since}'")[0][0])
    over.set()
    stop.set()
    (inserts, longest_insert), (_, longest_select) = (part.result() for part in load)
    reading.join()
    watching.join()
    figures = Figures(
        dropped=before - len(owner.run_script(HISTORY)),
        duration_s=duration,
        longest_insert_s=longest_insert,
        longest_select_s=longest_select,
        longest_transaction_s=longest[0],
        wal_bytes=max(0, wal - int(inserts * wal_per_insert)),
    )
    for db in (owner, watcher, reader):
        db.close()
    print(
        f"{name:>5}: {figures.dropped} partitions in {figures.duration_s:.1f} s; longest insert"
        f" {figures.longest_insert_s * 1000:.0f} ms, longest select {figures.longest_select_s * 1000:.0f} ms, longest"
        f" transaction {figures.longest_transaction_s * 1000:.0f} ms, WAL {figures.wal_bytes / 1024:.0f} KiB"
    )
    return figures


def _drop_plainly(settings: Settings, owner: Database, limit_bytes: int) -> None:
    db = Database(dataclasses.replace(settings, database_user=ROLE), lock_timeout="0", statement_timeout="0")
    for (name,) in owner.run_script(HISTORY):
        if db.query("database_size")[0]["bytes"] <= limit_bytes:
            break
        db.run_script(f"DROP TABLE {name}")
    db.close()


def _work_the_job(settings: Settings, owner: Database, limit_bytes: int) -> None:
    run_id = str(uuid.uuid4())
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, triggered_by, resend_at)"
        f" VALUES ('{run_id}', 'db_pruning', 'bench', clock_timestamp())"
    )
    os.environ |= {
        "DATABASE_HOST": settings.database_host,
        "MAX_DATABASE_SIZE_GB": repr(limit_bytes / db_pruning.GB),
    }
    settings_module.settings.cache_clear()
    sent: list[queue.Message] = [queue.Message(run_id, 0, "bench")]
    queue.send = sent.append
    outbox.dispatch = lambda *args, **kwargs: None
    db, waits = Database(dataclasses.replace(settings, database_user="nightshift_app")), 0
    while sent:
        message = sent.pop()
        waits += message.delay_s > 0
        time.sleep(message.delay_s)
        engine.work(run_id, message.slice, db=db, settings=settings, remaining_s=lambda: 120, request_id="bench")
    db.close()
    ((status, error, slices),) = owner.run_script("SELECT status, error, slice + 1 FROM job_runs")
    assert status == "completed", error
    print(f"       the job took {slices} slices and waited {waits} times")


class _Load:
    """One statement again and again, in a process of its own, every few milliseconds."""

    def __init__(self, settings: Settings, statement: str, stop: Event):
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_repeat, args=(settings, statement, stop, there))
        self._process.start()
        self._here.recv()

    def result(self) -> tuple[int, float]:
        """How often it ran, and the longest time it took in seconds."""
        counted: tuple[int, float] = self._here.recv()
        self._process.join()
        return counted


def _repeat(settings: Settings, statement: str, stop: Event, pipe: Connection) -> None:
    db = Database(dataclasses.replace(settings, database_timeout_s=120))
    db.run_script(statement)
    pipe.send("ready")
    count, longest = 0, 0.0
    while not stop.is_set():
        began = time.perf_counter()
        db.run_script(statement)
        longest = max(longest, time.perf_counter() - began)
        count += 1
        time.sleep(0.005)
    db.close()
    pipe.send((count, longest))


def _watch(db: Database, over: threading.Event, longest: list[float]) -> None:
    while not over.wait(0.01):
        ((seconds,),) = db.run_script(
            "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8"
            f" FROM pg_stat_activity WHERE usename = '{ROLE}'"
        )
        longest[0] = max(longest[0], seconds)


def _wal_of(db: Database, work: Callable[[], Any]) -> int:
    since = db.run_script("SELECT pg_current_wal_lsn()::text")[0][0]
    work()
    return int(db.run_script(f"SELECT pg_current_wal_lsn() - '{since}'")[0][0])


def _settings(server: Postgres, database: str, user: str) -> Settings:
    return Settings(database_host="127.0.0.1", database_port=server.port, database_name=database, database_user=user)


if __name__ == "__main__":
    main()
