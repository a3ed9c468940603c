"""Claim: ten thousand schedules of one minute cost a few statements, and a fraction of ten thousand triggers.

    make bench BENCH=schedules

One side decides the schedules of all projects in batches, as the sweep does. The other triggers each project's run,
as a caller would. Neither sends its messages. The output shows statements, seconds and the ratio for each start, and
then the sweeps of two sessions at once with the limit of a minute: each project has one run at the end.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.parts import settings_of
from local.ports import free_port
from local.postgres import Postgres
from nightshift.aws import queue
from nightshift.base.logger import logger
from nightshift.base.settings import Settings
from nightshift.database.migrations import migrate
from nightshift.database.queries import Database
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import requests
from nightshift.schedules import team_slots
from nightshift.testing.rows import sweep

THREE = datetime(2026, 11, 26, 3, tzinfo=UTC)
BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    many = parser.parse_args().schedules
    logger.setLevel("ERROR")
    queue.send = lambda message: None
    queue.send_all = lambda messages: len([*messages]) * 0
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off")
        try:
            _compare(settings_of(server, "postgres", "postgres"), many)
        finally:
            server.stop("immediate")


def _compare(settings: Settings, many: int) -> None:
    db = Database(settings)
    migrate(db)
    db.run_script(
        "INSERT INTO teams (name, slug) VALUES ('T', 't');"
        f"INSERT INTO projects (team_id, name, slug) SELECT id, n, n FROM teams, generate_series(1, {many}) n;"
        "INSERT INTO project_integrations (project_id, provider, secret_encrypted)"
        " SELECT id, 'revenuecat', '' FROM projects"
    )
    projects = db.run_script("SELECT id::text, team_id::text FROM projects")
    one_by_one = _measured("one trigger each", db, many, lambda: _trigger_each(projects, db, settings))
    _schedule_all(db)
    keys = [row["key"] for row in db.query("due_schedules", now=THREE, at_most=many)]
    together = _measured("in batches", db, many, lambda: _decide(keys, db, settings))
    print(f"ratio {together / one_by_one:.2f}")
    _schedule_all(db)
    _sweep_all(db, replace(settings, sweep_batch=BATCH), many)
    db.close()


def _measured(name: str, db: Database, many: int, start: Callable[[], None]) -> float:
    began, before = time.perf_counter(), db.statements
    start()
    seconds = time.perf_counter() - began
    print(f"{name:>18}: {db.statements - before:,} statements, {seconds:.1f} s, {1000 * seconds / many:.2f} ms a start")
    return seconds


def _schedule_all(db: Database) -> None:
    db.run_script(
        "DELETE FROM job_runs; DELETE FROM job_team_slots; DELETE FROM job_team_schedules;"
        "INSERT INTO job_team_schedules (project_id, job_type, name, cron, zone, params, created_by, next_slot)"
        f" SELECT id, 'revenuecat_sync', '', '0 3 * * *', 'Europe/Berlin', '{{}}', 'manual:user:x', '{THREE}'"
        " FROM projects"
    )
    db.run_script("VACUUM ANALYZE")


def _trigger_each(projects: list[list[str]], db: Database, settings: Settings) -> None:
    unlimited = replace(settings, runs_per_minute=1_000_000)
    for project_id, team_id in projects:
        trigger = requests.Trigger(
            job_type=JOB_TYPES["revenuecat_sync"],
            team_id=team_id,
            project_id=project_id,
            triggered_by="manual:user:x",
            params={"project_id": project_id},
        )
        requests.create(trigger, db=db, settings=unlimited)


def _decide(keys: list[str], db: Database, settings: Settings) -> None:
    for first in range(0, len(keys), BATCH):
        team_slots.decide(keys[first : first + BATCH], now=THREE, already=0, db=db, settings=settings)


def _sweep_all(db: Database, settings: Settings, many: int) -> None:
    """Let two sessions sweep at the same time, minute by minute, until nothing is due."""
    sessions, minutes, most_s = [db.sibling(), db.sibling()], 0, 0.0
    while db.run_script(f"SELECT count(*) FROM job_team_schedules WHERE next_slot = '{THREE}'") != [[0]]:
        began, now = time.perf_counter(), THREE + timedelta(minutes=minutes)
        threads = [
            threading.Thread(target=sweep, kwargs={"db": session, "settings": settings, "now": now})
            for session in sessions
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        minutes, most_s = minutes + 1, max(most_s, time.perf_counter() - began)
    for session in sessions:
        session.close()
    [[runs, of]] = db.run_script("SELECT count(*), count(DISTINCT project_id) FROM job_runs")
    print(f"  two sweeps at once: {minutes} minutes of at most {most_s:.1f} s, {runs:,} runs of {of:,} projects")
    assert runs == of == many


if __name__ == "__main__":
    main()
