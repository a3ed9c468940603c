"""Shared fixtures for tests of the executor: job types of a test, worked by the real executor on a real Postgres."""

import dataclasses
import sys

import pytest

from nightshift.jobs import Progress
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift.testing.rows import make_team

COUNTING = JobType(name="counting", label="Counting", description="Counts", scope="project")


MAKE_STEPS = "CREATE TABLE IF NOT EXISTS steps (run_id text, step int); GRANT ALL ON steps TO nightshift_worker"


@pytest.fixture
def team(owner):
    """Create a team, and a table for the rows that a test's job writes."""
    owner.run_script(MAKE_STEPS)
    return make_team(owner)


@pytest.fixture
def own_queries(monkeypatch):
    """Add the tests' own queries, by name. A test may add more."""
    from nightshift.database import queries

    real = queries.query_text
    own = {
        "record_step": "INSERT INTO steps VALUES (CAST(:run_id AS text), CAST(:step AS int))",
        "numbered": "SELECT $1\nWHERE :id",
    }
    monkeypatch.setattr(queries, "query_text", lambda name: own.get(name) or real(name))
    return own


@pytest.fixture
def job(monkeypatch, own_queries):
    """Register a generator function as the job type ``counting``."""
    real = JobType.handler

    def register(function, **changes):
        job_type = dataclasses.replace(COUNTING, **changes)
        monkeypatch.setitem(JOB_TYPES, "counting", job_type)
        monkeypatch.setattr(JobType, "handler", lambda self: function if self.name == "counting" else real(self))
        return job_type

    return register


@pytest.fixture
def written_by(monkeypatch):
    """``written_by(2)``: from now on the module of ``counting_to`` has that cursor version."""

    def written_by(version):
        monkeypatch.setattr(sys.modules[__name__], "CURSOR_VERSION", version, raising=False)

    return written_by


@pytest.fixture
def run_of(job, team, job_run):
    """``run_of(function)``: create a run of it that no worker has claimed yet."""

    def run_of(function, **changes):
        job(function, **changes)
        return job_run("counting", team=team)

    return run_of


def counting_to(total, *, then=None):
    def counting(run, db):
        done = (run.cursor or {"done": 0})["done"]
        while done < total:
            done += 1
            db.write("record_step", run_id=run.id, step=done)
            yield Progress(processed=done, total=total, message=f"Counted {done}", cursor={"done": done})
            if then:
                then(done)
        return {"counted": done}

    return counting


def steps_of(owner, run_id):
    return [step for (step,) in owner.run_script(f"SELECT step FROM steps WHERE run_id = '{run_id}' ORDER BY step")]
