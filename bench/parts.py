"""Shared parts of the benchmarks: databases, the chain of a run's slices, and the sandbox as a separate process."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from local import roles
from local.ports import free_port
from local.postgres import Postgres
from nightshift.aws import queue
from nightshift.base import settings as settings_module
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.runs import executor

PLENTY = 10**9


def settings_of(server: Postgres, database: str, user: str) -> Settings:
    return Settings(database_host="127.0.0.1", database_port=server.port, database_name=database, database_user=user)


def create_database(server: Postgres, name: str, *, template: str = "template1") -> None:
    admin = Database(settings_of(server, "postgres", "postgres"))
    admin.run_script(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    admin.close()


@contextmanager
def copy_of(server: Postgres, template: str, name: str) -> Iterator[Settings]:
    """Create a database for the duration of the block and yield settings for the superuser."""
    create_database(server, name, template=template)
    yield settings_of(server, name, "postgres")
    admin = Database(settings_of(server, "postgres", "postgres"))
    admin.run_script(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


def trigger_event(team_id: str, *, key: str, job_type: str, project_id: str) -> dict[str, Any]:
    """Return the event with which API Gateway passes a trigger to the API's function."""
    path = f"/v1/teams/{team_id}/jobs/trigger"
    return {
        "rawPath": path,
        "headers": {"authorization": f"Bearer {key}"},
        "requestContext": {"http": {"method": "POST", "path": path}, "requestId": "r", "stage": "$default"},
        "body": json.dumps({"job_type": job_type, "project_id": project_id}),
        "isBase64Encoded": False,
    }


def countdown(seconds: float) -> Callable[[], float]:
    ends = time.monotonic() + seconds
    return lambda: ends - time.monotonic()


def work_slices(run_id: str, *, db: Database, settings: Settings, number: int = 0) -> tuple[int, int]:
    """Work the run from slice ``number`` to its end, as the queue would deliver the slices, including delays.

    Return the number of slices, and the number of slices with a delay.
    """
    sent, slices, waits = [queue.Message(run_id, number, "bench")], 0, 0
    queue.send = sent.append
    while sent:
        message = sent.pop()
        slices, waits = slices + 1, waits + (message.delay_s > 0)
        time.sleep(message.delay_s)
        executor.work(
            run_id, message.slice, db=db, settings=settings, remaining_s=countdown(120), request_id=f"slice-{slices}"
        )
    return slices, waits


def let_worker_play_all(owner: Database) -> None:
    """Give the worker's role the rights of all functions, for a session that plays several of them."""
    owner.run_script(f"GRANT {', '.join({*roles.FUNCTIONS} - {'nightshift_worker'})} TO nightshift_worker")


def work_system_run(job_type: str, settings: Settings, **environment: str) -> tuple[dict[str, Any], int, int]:
    """Work a new run to its end and return result, slices and waits. ``environment`` sets the job's settings."""
    os.environ |= {"DATABASE_HOST": settings.database_host, "DATABASE_USER": "nightshift_worker", **environment}
    settings_module.settings.cache_clear()
    owner, run_id = Database(settings), str(uuid.uuid4())
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, triggered_by, resend_at)"
        f" VALUES ('{run_id}', '{job_type}', 'system', clock_timestamp())"
    )
    db = Database(replace(settings, database_user="nightshift_worker"))
    slices, waits = work_slices(run_id, db=db, settings=settings)
    db.close()
    ((status, error, result),) = owner.run_script("SELECT status, error, result FROM job_runs")
    owner.close()
    assert status == "completed", error
    return result, slices, waits


@contextmanager
def sandbox_process(*, customers: int, budget: int = PLENTY, latency_ms: int = 0) -> Iterator[str]:
    """Start the RevenueCat sandbox with customers user_000001 … and yield its base URL."""
    command = [sys.executable, "-m", "local.revenuecat", "--port", str(free_port()), "--customers", str(customers)]
    command += ["--budget", str(budget), "--configuration-budget", str(budget), "--latency-ms", str(latency_ms)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
