"""Test data: a team with a project, people and keys; and helpers for rows and messages of runs."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jwt

from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.database.run_row import RunState
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import requests
from nightshift.tenants.audit import Author
from nightshift.testing.rows import Team, make_team

# The operator, in calls that the audit tells of.
AUTHOR = Author(actor="operator:arn:aws:iam::123456789012:user/ada", request_id="request-1")

# A statement of the worker in whose slice the job has logged nothing.
NO_LINES = {"lines": None, "logged": 0, "kept_lines": 1_000}


def make_furnished_team(owner: Database) -> Team:
    """Create a team whose project has an app, a user, and a RevenueCat integration with an undecryptable key."""
    team = make_team(owner)
    owner.run_script(
        f"INSERT INTO apps (project_id, name) VALUES ('{team.project_id}', 'App');"
        f"INSERT INTO app_users (project_id, user_id) VALUES ('{team.project_id}', 'u');"
        "INSERT INTO project_integrations (project_id, provider, secret_encrypted)"
        f" VALUES ('{team.project_id}', 'revenuecat', 'x')"
    )
    return team


def store_keys(owner: Database) -> None:
    """Give each project a RevenueCat integration with an undecryptable key, so that a sync can be triggered."""
    owner.run_script(
        "INSERT INTO project_integrations (project_id, provider, secret_encrypted)"
        " SELECT id, 'revenuecat', 'x' FROM projects ON CONFLICT DO NOTHING"
    )


def token(user_id: str, secret: str, *, expires_in_s: int = 3600, **claims: Any) -> str:
    return jwt.encode({"sub": user_id, "exp": int(time.time()) + expires_in_s} | claims, secret, algorithm="HS256")


def trigger(team: Team, *, db: Database, settings: Settings, **overrides: Any) -> dict[str, Any]:
    """Trigger a run and return what the outside sees of it, as a dict."""
    wish: dict[str, Any] = {
        "job_type": JOB_TYPES["revenuecat_sync"],
        "team_id": team.id,
        "project_id": team.project_id,
        "triggered_by": "manual:user:somebody",
        "params": {"project_id": team.project_id},
    }
    return requests.create(requests.Trigger(**(wish | overrides)), db=db, settings=settings)._asdict()


def state_of(db: Database, run_id: object) -> RunState:
    [state] = db.query_as(RunState, "get_any_run", run_id=run_id)
    return state


def received(settings: Settings) -> list[dict[str, Any]]:
    """Receive all available messages from the queue, as ``{"run_id", "slice", "group"}``."""
    from nightshift.aws.clients import client

    taken = []
    while (
        messages := client("sqs")
        .receive_message(QueueUrl=settings.queue_url, MaxNumberOfMessages=10, AttributeNames=["MessageGroupId"])
        .get("Messages")
    ):
        for message in messages:
            client("sqs").delete_message(QueueUrl=settings.queue_url, ReceiptHandle=message["ReceiptHandle"])
            taken.append(json.loads(message["Body"]) | {"group": message.get("Attributes", {}).get("MessageGroupId")})
    return taken


def claim(
    db: Database,
    run_id: object,
    number: int,
    *,
    lease_s: float = 60,
    request_id: str = "worker",
    longest_s: float = 86400,
) -> list[dict[str, Any]]:
    """Claim a slice as a worker does if all job types have the default duration, ``longest_s``."""
    return db.query(
        "claim_slice",
        run_id=run_id,
        slice=number,
        capped=[],
        lease_s=lease_s,
        request_id=request_id,
        max_durations={},
        max_duration_s=86_400,
    )


def cut_sessions(owner: Database) -> None:
    """End the functions' sessions in this test's database, and return when they are gone.

    Tests of another process may have a database of their own on the same server.
    """
    owner.run_script(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE usename <> 'postgres' AND datname = current_database()"
    )


@contextmanager
def closed_to_new_sessions(owner: Database) -> Iterator[None]:
    """Let the server refuse new sessions in this test's database, but for superusers."""
    [[name]] = owner.run_script("SELECT current_database()")
    owner.run_script(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    try:
        yield
    finally:
        owner.run_script(f"ALTER DATABASE {name} CONNECTION LIMIT -1")


def system_run(owner: Database, job_type: str) -> str:
    """Insert a pending run of a system job, as its schedule does, and return its id."""
    run_id = str(uuid.uuid4())
    owner.run_script(
        "INSERT INTO job_runs (id, job_type, triggered_by, resend_at)"
        f" VALUES ('{run_id}', '{job_type}', 'schedule', clock_timestamp() + interval '2 minutes')"
    )
    return run_id


@contextmanager
def other_role_of_system_jobs(attributes: str | None, *, superuser: Database, settings: Settings) -> Iterator[Settings]:
    """Yield settings in which system jobs sign in as another role; without ``attributes``, as one that is missing.

    The product's own roles belong to the whole server, which tests of another process may use at the same time.
    """
    role = f"{settings.database_name}_jobs"
    if attributes:
        superuser.run_script(f"CREATE ROLE {role} {attributes}")
    try:
        yield replace(settings, database_maintenance_user=role)
    finally:
        superuser.run_script(f"DROP ROLE IF EXISTS {role}")
