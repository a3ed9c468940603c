"""Claim: a restart repeats only the interrupted step, not the run's earlier work.

    make bench BENCH=restarts

A sync of 3,000 users is disturbed half-way: its worker is killed (SIGKILL) or terminated (SIGTERM, a deployment), its
Postgres restarts, or a second instance starts beside it. The plain side fails the run at a restart, and starts again
from user 1 at the next trigger. On our side the sweep takes over the run, which continues from its cursor. Both use the
same sandbox. The benchmark compares calls to the provider, because each call uses up its budget. It expires our
worker's lease directly; in production the sweep notices after the rest of the invocation, a margin of ten seconds and
at most a minute.
"""

import dataclasses
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import urllib3

from bench.parts import countdown, sandbox_process, settings_of
from bench.syncs import INSERT_RUN, database_with_users, start_worker
from local.ports import free_port
from local.postgres import Postgres
from nightshift.aws import queue
from nightshift.base.errors import DatabaseGone
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.healing.sweep import sweep

USERS = 3_000

Disturb = Callable[[BaseProcess, Postgres], None]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off")
        try:
            undisturbed, _ = _sync(server, "undisturbed", disturb=None, plain=False)
            print(f"undisturbed: {undisturbed:,} calls for {USERS:,} users")
            for name, disturb in DISTURBANCES.items():
                ours, ended = _sync(server, f"{name}_ours", disturb=disturb, plain=False)
                plain, _ = _sync(server, f"{name}_plain", disturb=disturb, plain=True)
                print(
                    f"{name:>16}: {ended}; calls repeated: ours {ours - undisturbed:,}, plain {plain - undisturbed:,};"
                    f" ratio {max(0, ours - undisturbed) / max(1, plain - undisturbed):.3f}"
                )
        finally:
            server.stop("immediate")


def _kill(worker: BaseProcess, server: Postgres) -> None:
    worker.kill()
    worker.join()


def _terminate(worker: BaseProcess, server: Postgres) -> None:
    os.kill(worker.pid or 0, signal.SIGTERM)
    worker.join()


def _restart_postgres(worker: BaseProcess, server: Postgres) -> None:
    server.stop("immediate")
    server.start(fsync="off")
    worker.join(10)  # it abandons its slice and gets no further message
    worker.kill()
    worker.join()


def _second_instance(worker: BaseProcess, server: Postgres) -> None:
    """Kill nothing: a second worker gets the same message, and a second sweep runs."""


DISTURBANCES: dict[str, Disturb] = {
    "sigkill": _kill,
    "sigterm": _terminate,
    "postgres_restart": _restart_postgres,
    "second_instance": _second_instance,
}


def _sync(server: Postgres, name: str, *, disturb: Disturb | None, plain: bool) -> tuple[int, str]:
    """Return the number of calls to the provider until all users were synced, and the run's end."""
    owner = database_with_users(server, name, users=USERS)
    [[run_id]] = owner.run_script(INSERT_RUN)
    with sandbox_process(customers=USERS) as url:
        settings = dataclasses.replace(settings_of(server, name, "nightshift_worker"), revenuecat_url=url)
        worker, pipe = start_worker(settings, run_id)
        if disturb:
            _wait(owner, run_id, lambda run: run["processed"] * 2 >= USERS)
            disturb(worker, server)
            if plain:
                # The peer marks every live run as failed when it starts; then a user triggers again.
                _again(
                    owner,
                    "UPDATE job_runs SET status = 'failed', error = 'Server restarted during execution',"
                    " completed_at = clock_timestamp(), lease_expires_at = NULL, resend_at = NULL"
                    " WHERE completed_at IS NULL",
                )
                worker.kill()
                worker.join()
                [[run_id]] = _again(owner, INSERT_RUN)
                worker, pipe = start_worker(settings, run_id)
            elif disturb is _second_instance:
                second, _ = start_worker(settings, run_id)
                _swept(settings)
                second.join(5)
                second.kill()
            else:
                _again(
                    owner, "UPDATE job_runs SET lease_expires_at = clock_timestamp() WHERE lease_expires_at IS NOT NULL"
                )
                [message] = _swept(settings)
                worker, pipe = start_worker(settings, run_id, number=message.slice)
        pipe.recv()
        pipe.send("done")
        worker.join()
        stats = json.loads(urllib3.request("GET", url.removesuffix("/v2") + "/_sandbox/stats").data)
    [[status, lost]] = _again(
        owner,
        "SELECT status, (SELECT count(*) FROM job_timeline slice WHERE slice.run_id = run.id AND outcome = 'lost')"
        f" FROM job_runs run WHERE id = '{run_id}'",
    )
    owner.close()
    return sum(stats["calls"].values()), f"{status}, {lost} slice lost"


def _wait(owner: Database, run_id: str, reached: Callable[[dict[str, Any]], bool]) -> None:
    while True:
        [[progress]] = owner.run_script(f"SELECT progress FROM job_runs WHERE id = '{run_id}'")
        if progress and reached(progress):
            return
        time.sleep(0.01)


def _again(owner: Database, script: str) -> list[Any]:
    """Run the script. Repeat it once, because the connection may have died with the server."""
    try:
        return owner.run_script(script)
    except DatabaseGone:
        return owner.run_script(script)


def _swept(settings: Settings) -> list[queue.Message]:
    messages: list[queue.Message] = []
    queue.send_all = lambda batch: messages.extend(batch) or 0
    db = Database(settings)
    sweep(now=datetime.now(UTC), db=db, settings=settings, remaining_s=countdown(50))
    db.close()
    return messages


if __name__ == "__main__":
    main()
