"""Claim: a million events are deleted in steps of at most 250 ms each, with little effect on concurrent writers.

    make bench BENCH=cleanup

Two copies of one database hold a million events in three tables and six months, under the apps of a project that was
soft-deleted eight days ago, and 300,000 events under live apps. One side deletes them the plain way: one DELETE with a
subselect for each table, in one transaction. The other side is the job, slice by slice through the executor. During
both, one process inserts events and another reads them; both first run alone for comparison. The output shows for each
side its duration, longest transaction and WAL (without the inserts' WAL), and for inserts and reads the longest time
and the 99th percentile.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

from bench.parts import copy_of, create_database, settings_of, work_system_run
from bench.traffic import COLUMNS, repeated, wal_bytes
from local.ports import free_port
from local.postgres import Postgres
from nightshift.base.settings import Settings
from nightshift.database.migrations import create_first_partitions, migrate
from nightshift.database.queries import Database

SLICE_S = 1.0
MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06")
# A million rows in total.
ROWS = {"events": 600_000, "metric_events": 250_000, "funnel_events": 150_000}
LIVE_SHARE = 0.3
APPS = 4
ALONE_S = 8

PLAIN = """
DELETE FROM {table} WHERE app_id IN (
    SELECT app.id FROM apps app JOIN projects project ON project.id = app.project_id
    WHERE project.deleted_at < now() - interval '7 days')
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(max_wal_size="4GB")
        try:
            _seed(server)
            _compare(server)
        finally:
            server.stop("immediate")


def _compare(server: Postgres) -> None:
    with copy_of(server, "seeded", "alone") as settings:
        db = Database(settings)
        with repeated(settings, *_traffic(db)) as (inserts, reads):
            began_wal = wal_bytes(db)
            time.sleep(ALONE_S)
        wal_an_insert = (wal_bytes(db) - began_wal) / len(inserts)
        db.close()
    print(f"   alone: {_stalls(inserts, reads)}")
    figures = {}
    for name, side in (("plain", _plain), ("job", _job)):
        with copy_of(server, "seeded", name) as settings:
            db = Database(settings)
            with repeated(settings, *_traffic(db)) as (inserts, reads):
                began, began_wal = time.perf_counter(), wal_bytes(db)
                longest_s, note = side(settings)
                took_s, wal = time.perf_counter() - began, wal_bytes(db) - began_wal
            wal -= int(wal_an_insert * len(inserts))
            _check(db)
            db.close()
        figures[name] = (took_s, longest_s, wal, max(inserts), max(reads))
        print(
            f"{name:>8}: {took_s:.1f} s, longest transaction {longest_s * 1000:,.0f} ms, WAL {wal / 2**20:,.0f} MiB, "
            f"{_stalls(inserts, reads)}{note}"
        )
    names = ("duration", "longest transaction", "WAL", "longest insert", "longest read")
    ratios = zip(names, figures["job"], figures["plain"], strict=True)
    print("job against plain: " + ", ".join(f"{name} {job / plain:.2f}" for name, job, plain in ratios))


def _plain(settings: Settings) -> tuple[float, str]:
    db = Database(settings)
    with _transactions() as took_s, db.transaction():
        for table in ROWS:
            db.run_script(PLAIN.format(table=table))
        due = "SELECT id FROM projects WHERE deleted_at < now() - interval '7 days'"
        db.run_script(f"DELETE FROM apps WHERE project_id IN ({due}); DELETE FROM projects WHERE id IN ({due})")
    db.close()
    return max(took_s), ""


def _job(settings: Settings) -> tuple[float, str]:
    with _transactions() as took_s:
        result, slices, _ = work_system_run(
            "soft_delete_cleanup", replace(settings, slice_budget_s=SLICE_S, slice_reserve_s=0)
        )
    assert {table: result[table] for table in ROWS} == ROWS
    return max(took_s), f"; {slices} slices, {len(took_s)} steps, median {statistics.median(took_s) * 1000:.0f} ms"


@contextmanager
def _transactions() -> Iterator[list[float]]:
    """Yield the seconds from BEGIN to COMMIT of each transaction. Polling from outside misses such short steps."""
    took_s: list[float] = []
    real_begin, real_commit, begun = Database.begin, Database.commit, [0.0]

    def begin(self: Database) -> None:
        begun[0] = time.perf_counter()
        real_begin(self)

    def commit(self: Database) -> None:
        real_commit(self)
        took_s.append(time.perf_counter() - begun[0])

    Database.begin, Database.commit = begin, commit
    try:
        yield took_s
    finally:
        Database.begin, Database.commit = real_begin, real_commit


def _check(db: Database) -> None:
    """Assert that exactly the due rows were deleted."""
    assert db.run_script("SELECT count(*) FROM apps") == [[APPS]]
    for table, count in ROWS.items():
        ((left,),) = db.run_script(f"SELECT count(*) FROM {table} WHERE timestamp < '2026-07-01'")
        assert left == int(count * LIVE_SHARE), (table, left)


def _seed(server: Postgres) -> None:
    create_database(server, "seeded")
    db = Database(settings_of(server, "seeded", "postgres"))
    migrate(db)
    ((today,),) = db.run_script("SELECT current_date")
    create_first_partitions(db, today=today)
    db.run_script(
        f"""
        INSERT INTO teams (name, slug) VALUES ('T', 't');
        INSERT INTO projects (team_id, name, slug, deleted_at)
            SELECT id, 'P', 'due', now() - interval '8 days' FROM teams
            UNION ALL SELECT id, 'P', 'live', NULL FROM teams;
        INSERT INTO apps (project_id, name) SELECT id, 'A' FROM projects, generate_series(1, {APPS})
        """
    )
    for month in MONTHS:
        create_first_partitions(db, today=date.fromisoformat(f"{month}-01"), months_ahead=0)
    for table, count in ROWS.items():
        values = ", ".join("'something that happened'" for _ in COLUMNS[table])
        for slug, rows in (("due", count), ("live", int(count * LIVE_SHARE))):
            # As in production: ordered by time, with mixed apps.
            db.run_script(
                f"INSERT INTO {table} (app_id, timestamp, attributes, {', '.join(COLUMNS[table])})"
                f" SELECT apps[1 + n % {APPS}], '2026-01-01'::timestamptz + n * interval '180 days' / {rows},"
                f""" '{{"screen": "home", "build": 1234}}', {values}"""
                " FROM (SELECT array_agg(app.id) AS apps FROM apps app JOIN projects p ON p.id = project_id"
                f" WHERE p.slug = '{slug}') AS those, generate_series(1, {rows}) n"
            )
    db.run_script("VACUUM ANALYZE")
    db.close()


def _traffic(db: Database) -> tuple[str, str]:
    """Return an insert and a read for an app that is not deleted."""
    app_id = db.run_script("SELECT app.id FROM apps app JOIN projects p ON p.id = project_id WHERE slug = 'live'")[0][0]
    return (
        f"INSERT INTO events (app_id, timestamp, message) VALUES ('{app_id}', now(), 'x')",
        f"SELECT id FROM events WHERE app_id = '{app_id}' ORDER BY timestamp DESC LIMIT 50",
    )


def _stalls(inserts: list[float], reads: list[float]) -> str:
    return ", ".join(
        f"{name} longest {max(times) * 1000:.0f} ms, p99 {statistics.quantiles(times, n=100)[-1] * 1000:.1f} ms"
        for name, times in (("inserts", inserts), ("reads", reads))
    )


if __name__ == "__main__":
    main()
