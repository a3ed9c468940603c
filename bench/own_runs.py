"""Runs of job types of a benchmark, from the trigger to the end, by the functions' own handlers in this process.

Messages are not sent: the worker's handler gets them at once, in batches as SQS delivers them.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from bench.parts import create_database, let_worker_play_all, settings_of, trigger_event
from local.postgres import Postgres
from nightshift.aws import queue
from nightshift.aws.queue import Message
from nightshift.base import settings as settings_module
from nightshift.database import queries
from nightshift.database.migrations import migrate
from nightshift.database.queries import Database
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.runs import requests

PROJECTS_OF_A_TEAM = 20
CONTEXT = SimpleNamespace(
    **{"function_name": "function", "memory_limit_in_mb": 512, "invoked_function_arn": "arn"},
    **{"aws_request_id": "00000000-0000-0000-0000-000000000000", "get_remaining_time_in_millis": lambda: 60_000},
)
Trigger = Callable[["Project", str], None]


@dataclass(frozen=True)
class Project:
    id: str
    team_id: str
    key: str


def database_with_projects(server: Postgres, name: str, *, projects: int) -> list[Project]:
    """Create a database with teams of a few projects each, because a project has one live run of a type at most.

    A team's key is ``key-`` and its id.
    """
    create_database(server, name)
    owner = Database(settings_of(server, name, "postgres"))
    migrate(owner)
    let_worker_play_all(owner)
    owner.run_script(
        f"""
        INSERT INTO teams (name, slug) SELECT 'T', 't' || n FROM generate_series(1, {projects // PROJECTS_OF_A_TEAM}) n;
        INSERT INTO projects (team_id, name, slug)
            SELECT id, 'P', 'p' || n FROM teams, generate_series(1, {PROJECTS_OF_A_TEAM}) n;
        INSERT INTO api_keys (team_id, key_type, key_hash, key_prefix, permissions)
            SELECT id, 'agent', sha256(convert_to('owl_agent_' || id, 'UTF8')), '', '{{jobs:read,jobs:write}}'
            FROM teams
        """
    )
    found = owner.run_script("SELECT CAST(id AS text), CAST(team_id AS text) FROM projects ORDER BY id")
    owner.close()
    return [Project(project_id, team_id, f"owl_agent_{team_id}") for project_id, team_id in found]


@contextmanager
def functions_on(server: Postgres, database: str) -> Iterator[list[Message]]:
    """Let the functions of this process use the database. Yield the list in which their messages for runs arrive."""
    sent: list[Message] = []
    variables = {"DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(server.port), "DATABASE_NAME": database}
    variables |= {name: "http://127.0.0.1/none" for name in ("QUEUE_URL", "NOTIFY_QUEUE_URL", "ANNOUNCE_QUEUE_URL")}
    variables |= {"INTEGRATIONS_KEY_ID": "none", "DATABASE_USER": "nightshift_worker"}
    settings_module.settings.cache_clear()
    queries.database.cache_clear()
    with patch.dict(os.environ, variables), patch.object(queue, "send", sent.append):
        yield sent
    settings_module.settings.cache_clear()
    queries.database.cache_clear()


@contextmanager
def job_type(function: Any) -> Iterator[str]:
    """Register the generator function as a job type of projects, and yield the job type's name."""
    name = function.__name__
    declared = JobType(name=name, label=name, description="", scope="project")
    with patch.dict(JOB_TYPES, {name: declared}), patch.object(JobType, "handler", lambda self: function):
        yield name


def request(project: Project, name: str) -> None:
    """Trigger a run as the API does when it has authenticated the caller and validated the body."""
    wish = requests.Trigger(
        job_type=JOB_TYPES[name],
        team_id=project.team_id,
        project_id=project.id,
        triggered_by="agent:00000000-0000-0000-0000-000000000000",
        params={"project_id": project.id},
    )
    requests.create(wish, db=queries.database(), settings=settings_module.settings())


def call_api(project: Project, name: str) -> None:
    """Trigger a run through the API's handler, with the team's key."""
    event = trigger_event(project.team_id, key=project.key, job_type=name, project_id=project.id)
    api: Any = importlib.import_module("api.app")
    answer = api.handler(event, CONTEXT)
    assert answer["statusCode"] == 201, answer


def work_runs(projects: list[Project], name: str, *, sent: list[Message], trigger: Trigger, at_once: int) -> None:
    """Trigger a run in each project, then give the messages to the worker, ``at_once`` per invocation."""
    worker: Any = importlib.import_module("worker.app")
    for project in projects:
        trigger(project, name)
    while sent:
        batch = [sent.pop(0) for _ in sent[:at_once]]
        worker.handler({"Records": [{"body": message.entry()["MessageBody"]} for message in batch]}, CONTEXT)
    queries.database().close()
