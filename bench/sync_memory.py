"""Claim: a sync of 100,000 users needs no more memory than one of 1,000, and runs as a chain of short slices.

    make bench BENCH=sync_memory

Each size is worked by a process of its own against real Postgres and the sandbox (another process, no latency, no
budget). Prints slices, statements a user, peak memory, and the ratio of the two peaks.
"""

import argparse
import dataclasses
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from bench.parts import free_port, sandbox_process
from jobs import revenuecat_sync
from local.postgres import Postgres
from nightshift import engine, queue
from nightshift import settings as settings_module
from nightshift.database import Database
from nightshift.migrations import migrate
from nightshift.settings import Settings

SLICE_S = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    users = parser.parse_args().users
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off")
        try:
            peaks = [_measure(server, count) for count in (1_000, users)]
        finally:
            server.stop("immediate")
    print(f"peak memory, {users:,} users against 1,000: {peaks[1] / peaks[0]:.2f} times")


def _measure(server: Postgres, users: int) -> float:
    """Peak resident memory of the worker in MiB."""
    admin = Database(_settings(server, "postgres", "postgres"))
    name = f"users_{users}"
    admin.run_script(f"CREATE DATABASE {name}")
    admin.close()
    owner = Database(_settings(server, name, "postgres"))
    migrate(owner)
    owner.run_script(
        f"""
        INSERT INTO teams (name, slug) VALUES ('T', 't');
        INSERT INTO projects (team_id, name, slug) SELECT id, 'P', 'p' FROM teams;
        INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)
            SELECT id, 'revenuecat', '{{"project_id": "proj1a2b3c4d"}}', 'sk_sandbox' FROM projects;
        INSERT INTO app_users (project_id, user_id)
            SELECT id, 'user_' || lpad(n::text, 6, '0') FROM projects, generate_series(1, {users}) n;
        INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at)
            SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'bench', clock_timestamp() FROM projects;
        ANALYZE
        """
    )
    (run_id,) = owner.run_script("SELECT id::text FROM job_runs")[0]
    with sandbox_process(customers=users) as url:
        here, there = multiprocessing.Pipe()
        settings = dataclasses.replace(
            _settings(server, name, "nightshift_app"), revenuecat_url=url, slice_budget_s=SLICE_S, slice_reserve_s=0
        )
        worker = multiprocessing.get_context("spawn").Process(target=_work, args=(there, settings, run_id))
        worker.start()
        slices, statements, seconds, peak = here.recv()
        worker.join()
    (status, result) = owner.run_script("SELECT status, result FROM job_runs")[0]
    owner.close()
    print(
        f"{users:>9,} users: {status}, {slices} slices, {seconds:.0f} s, {statements / users:.3f} statements a user, "
        f"peak {peak:.1f} MiB, synced {result['synced']:,}"
    )
    return peak


def _work(pipe: Connection, settings: Settings, run_id: str) -> None:
    """The chain of slices, one after another, as the queue would bring them."""
    os.environ["DATABASE_HOST"], os.environ["REVENUECAT_URL"] = settings.database_host, settings.revenuecat_url
    settings_module.settings.cache_clear()
    revenuecat_sync.decrypt_secret = lambda ciphertext, *, project_id: ciphertext.decode()
    sent: list[queue.Message] = [queue.Message(run_id, 0, "bench")]
    queue.send = sent.append
    db, began, slices = Database(settings), time.monotonic(), 0
    while sent:
        message = sent.pop()
        slices += 1
        engine.work(
            run_id, message.slice, db=db, settings=settings, remaining_s=_countdown(120), request_id=f"slice-{slices}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send((slices, db.statements, time.monotonic() - began, peak))


def _countdown(seconds: float) -> Callable[[], float]:
    ends = time.monotonic() + seconds
    return lambda: ends - time.monotonic()


def _settings(server: Postgres, database: str, user: str) -> Settings:
    return Settings(database_host="127.0.0.1", database_port=server.port, database_name=database, database_user=user)


if __name__ == "__main__":
    main()
