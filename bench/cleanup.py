"""Claim: a million events go in steps of at most 250 ms each, and whoever writes beside them hardly notices.

    make bench BENCH=cleanup

Two copies of one database: a million events in three tables and six months under the apps of a project soft-deleted
eight days ago, and 300,000 under live apps. One side deletes them the plain way, a DELETE with a subselect for each
table in one transaction; the other is the job, slice after slice through the engine. Beside both, one process inserts
events and another reads them, as they do for a while with nothing beside them. Prints for each side how long it took,
its longest transaction, its WAL (less the inserts'), and of inserts and reads the longest and the 99th percentile.
"""

import multiprocessing
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from multiprocessing.synchronize import Event
from pathlib import Path

from bench.parts import free_port
from local.postgres import Postgres
from nightshift import engine, queue
from nightshift.database import Database
from nightshift.migrations import create_first_partitions, migrate
from nightshift.settings import Settings

SLICE_S = 1.0
MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06")
# Of a million: events, metric events, funnel events; and the columns that each wants.
SHARES = {"events": (600_000, "message"), "metric_events": (250_000, "metric_slug, phase"),
          "funnel_events": (150_000, "step_name")}  # fmt: skip
LIVE_SHARE = 0.3
APPS = 4
ALONE_S = 8
PAUSE_S = 0.002

PROCESSES = multiprocessing.get_context("spawn")

PLAIN = """
DELETE FROM {table} WHERE app_id IN (
    SELECT app.id FROM apps app JOIN projects project ON project.id = app.project_id
    WHERE project.deleted_at < now() - interval '7 days')
"""


@dataclass
class Seen:
    """Seconds that each insert, or read, took."""

    inserts: list[float]
    reads: list[float]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(max_wal_size="4GB")
        try:
            _seed(_settings(server, "seeded"), admin=_settings(server, "postgres"))
            _compare(server)
        finally:
            server.stop("immediate")


def _compare(server: Postgres) -> None:
    with _copy(server, "alone") as db:
        with _traffic(server, "alone") as alone:
            began_wal = _wal(db)
            time.sleep(ALONE_S)
        wal_an_insert = (_wal(db) - began_wal) / len(alone.inserts)
    print(f"   alone: {_stalls(alone)}")
    figures = {}
    for name, side in (("plain", _plain), ("job", _job)):
        with _copy(server, name) as db:
            with _traffic(server, name) as seen:
                began, began_wal = time.perf_counter(), _wal(db)
                longest_s, note = side(db, _settings(server, name))
                took_s, wal = time.perf_counter() - began, _wal(db) - began_wal
            wal -= int(wal_an_insert * len(seen.inserts))
            _check(db)
        figures[name] = (took_s, longest_s, wal, max(seen.inserts), max(seen.reads))
        print(
            f"{name:>8}: {took_s:.1f} s, longest transaction {longest_s * 1000:,.0f} ms, WAL {wal / 2**20:,.0f} MiB, "
            f"{_stalls(seen)}{note}"
        )
    names = ("duration", "longest transaction", "WAL", "longest insert", "longest read")
    ratios = zip(names, figures["job"], figures["plain"], strict=True)
    print("job against plain: " + ", ".join(f"{name} {job / plain:.2f}" for name, job, plain in ratios))


def _plain(db: Database, settings: Settings) -> tuple[float, str]:
    began = time.perf_counter()
    with db.transaction():
        for table in SHARES:
            db.run_script(PLAIN.format(table=table))
        due = "SELECT id FROM projects WHERE deleted_at < now() - interval '7 days'"
        db.run_script(f"DELETE FROM apps WHERE project_id IN ({due}); DELETE FROM projects WHERE id IN ({due})")
    return time.perf_counter() - began, ""


def _job(owner: Database, settings: Settings) -> tuple[float, str]:
    """The chain of slices, one after another, as the queue would bring them."""
    run_id = str(uuid.uuid4())
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, triggered_by, resend_at)"
        f" VALUES ('{run_id}', 'soft_delete_cleanup', 'system', clock_timestamp())"
    )
    sent = [queue.Message(run_id, 0, "bench")]
    queue.send = sent.append
    engine.outbox.dispatch = lambda *_, **__: None
    took: list[float] = []
    real_begin, real_commit, begun = Database.begin, Database.commit, [0.0]

    def begin(self: Database) -> None:
        begun[0] = time.perf_counter()
        real_begin(self)

    def commit(self: Database) -> None:
        real_commit(self)
        took.append(time.perf_counter() - begun[0])

    Database.begin, Database.commit = begin, commit
    db, slices = Database(settings), 0
    try:
        while sent:
            slices += 1
            number = sent.pop().slice
            engine.work(
                run_id, number, db=db, settings=settings, remaining_s=_countdown(120), request_id=f"slice-{number}"
            )
    finally:
        Database.begin, Database.commit = real_begin, real_commit
        db.close()
    (status, result) = owner.run_script("SELECT status, result FROM job_runs")[0]
    assert status == "completed", status
    assert {table: result[table] for table in SHARES} == {table: count for table, (count, _) in SHARES.items()}
    return max(took), f"; {slices} slices, {len(took)} steps, median {statistics.median(took) * 1000:.0f} ms"


def _check(db: Database) -> None:
    """What was due is gone, and nothing else."""
    assert db.run_script("SELECT count(*) FROM apps") == [[APPS]]
    for table, (count, _) in SHARES.items():
        ((left,),) = db.run_script(f"SELECT count(*) FROM {table} WHERE timestamp < '2026-07-01'")
        assert left == int(count * LIVE_SHARE), (table, left)


def _seed(settings: Settings, *, admin: Settings) -> None:
    postgres = Database(admin)
    postgres.run_script(f"CREATE DATABASE {settings.database_name}")
    postgres.close()
    db = Database(settings)
    migrate(db)
    create_first_partitions(db, today=_today(db))
    db.run_script(
        f"""
        INSERT INTO teams (name, slug) VALUES ('T', 't');
        INSERT INTO projects (team_id, name, slug, deleted_at)
            SELECT id, 'P', 'due', now() - interval '8 days' FROM teams
            UNION ALL SELECT id, 'P', 'live', NULL FROM teams;
        INSERT INTO apps (project_id, name) SELECT id, 'A' FROM projects, generate_series(1, {APPS})
        """
    )
    for table, (count, columns) in SHARES.items():
        for month in MONTHS:
            db.query("create_month_partition", parent=table, month=f"{month}-01")
        values = ", ".join("'something that happened'" for _ in columns.split(","))
        for slug, rows in (("due", count), ("live", int(count * LIVE_SHARE))):
            # As they come in: in the order of time, the apps mixed.
            db.run_script(
                f"INSERT INTO {table} (app_id, timestamp, attributes, {columns})"
                f" SELECT apps[1 + n % {APPS}], '2026-01-01'::timestamptz + n * interval '180 days' / {rows},"
                f""" '{{"screen": "home", "build": 1234}}', {values}"""
                " FROM (SELECT array_agg(app.id) AS apps FROM apps app JOIN projects p ON p.id = project_id"
                f" WHERE p.slug = '{slug}') AS those, generate_series(1, {rows}) n"
            )
    db.run_script("VACUUM ANALYZE")
    db.close()


@contextmanager
def _copy(server: Postgres, name: str) -> Iterator[Database]:
    admin = Database(_settings(server, "postgres"))
    admin.run_script(f"CREATE DATABASE {name} TEMPLATE seeded STRATEGY FILE_COPY")
    admin.run_script("CHECKPOINT")
    db = Database(_settings(server, name))
    yield db
    db.close()
    admin.run_script(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


@contextmanager
def _traffic(server: Postgres, name: str) -> Iterator[Seen]:
    """Processes that insert and read while the block runs; their times are there behind it."""
    stop, pipes, processes, seen = PROCESSES.Event(), [], [], Seen([], [])
    for act in (_insert, _read):
        here, there = PROCESSES.Pipe()
        process = PROCESSES.Process(target=_repeat, args=(act, _settings(server, name), stop, there))
        process.start()
        here.recv()
        pipes.append(here)
        processes.append(process)
    try:
        yield seen
    finally:
        stop.set()
        seen.inserts, seen.reads = (pipe.recv() for pipe in pipes)
        for process in processes:
            process.join()


def _repeat(act: Callable[[Database, str], None], settings: Settings, stop: Event, pipe: object) -> None:
    db, took = Database(settings), []
    app_id = db.run_script("SELECT app.id::text FROM apps app JOIN projects p ON p.id = project_id WHERE slug = 'live'")
    act(db, app_id[0][0])
    pipe.send("ready")
    while not stop.is_set():
        began = time.perf_counter()
        act(db, app_id[0][0])
        took.append(time.perf_counter() - began)
        time.sleep(PAUSE_S)
    pipe.send(took)
    db.close()


def _insert(db: Database, app_id: str) -> None:
    db.run_script(f"INSERT INTO events (app_id, timestamp, message) VALUES ('{app_id}', now(), 'x')")


def _read(db: Database, app_id: str) -> None:
    db.run_script(f"SELECT id FROM events WHERE app_id = '{app_id}' ORDER BY timestamp DESC LIMIT 50")


def _stalls(seen: Seen) -> str:
    return ", ".join(
        f"{name} longest {max(times) * 1000:.0f} ms, p99 {statistics.quantiles(times, n=100)[-1] * 1000:.1f} ms"
        for name, times in (("inserts", seen.inserts), ("reads", seen.reads))
    )


def _wal(db: Database) -> int:
    return int(db.run_script("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")[0][0])


def _today(db: Database) -> date:
    return db.run_script("SELECT current_date")[0][0]


def _countdown(seconds: float) -> Callable[[], float]:
    ends = time.monotonic() + seconds
    return lambda: ends - time.monotonic()


def _settings(server: Postgres, name: str) -> Settings:
    return Settings(
        database_host="127.0.0.1",
        database_port=server.port,
        database_name=name,
        database_user="postgres",
        slice_budget_s=SLICE_S,
        slice_reserve_s=0,
    )


if __name__ == "__main__":
    main()
