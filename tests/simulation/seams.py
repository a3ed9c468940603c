"""The places where the simulator replaces the network, randomness and the job types."""

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any
from unittest import mock

from nightshift.aws import aws_http, queue
from nightshift.base import metrics
from nightshift.database import connection, queries
from nightshift.database.queries import Database
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.schedules import slots
from tests.simulation import actors, jobs, later_jobs
from tests.simulation.world import World


@contextmanager
def in_place(world: World, ids: Random) -> Iterator[None]:
    with ExitStack() as stack:
        for target, name, value in (
            (queries, "connect", actors.connect),
            (queries, "query_text", _with_queries_of_jobs(queries.query_text)),
            (Database, "_run_prepared", actors.named(Database._run_prepared)),
            (connection, "Connection", actors.SimulatedConnection),
            (aws_http, "_answer", lambda *request: world.outside.answer(*request)),
            (aws_http, "PAUSE_S", 0),
            (slots, "SLOTS_AT_ONCE", 20),
            (uuid, "uuid4", lambda: uuid.UUID(int=ids.getrandbits(128), version=4)),
            (queue, "settings", lambda: world.config),
            (JobType, "handler", _handler),
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        stack.enter_context(mock.patch.dict(JOB_TYPES, jobs.TYPES, clear=True))
        stack.enter_context(mock.patch.dict("os.environ", {"AWS_REGION": "eu-central-1"}))
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
            metrics._counted.clear()


def _handler(job_type: JobType) -> Any:
    """Return the handler of the release in the actor's environment."""
    actor = actors.current()
    return (later_jobs if actor and actor.environment.release == 2 else jobs).JOBS[job_type.name]


def _with_queries_of_jobs(real: Callable[[str], str]) -> Callable[[str], str]:
    return lambda name: jobs.QUERIES.get(name) or real(name)
