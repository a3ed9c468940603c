"""The job types of a play. Each step is a letter in the run's script, so that a play shows the run's behaviour."""

from collections.abc import Generator
from contextlib import nullcontext, suppress
from typing import Any

from nightshift.jobs import JobDatabase, Progress, Retry, Run, Wait
from nightshift.jobs.job_type import JobType
from nightshift.jobs.registry import JOB_TYPES
from nightshift_jobs.soft_delete_cleanup import job as real_cleanup
from tests.simulation.actors import current

CURSOR_VERSION = 1

# s: a step. o: a step that writes nothing, like one that only calls the outside. n: a yield that does not move the
# cursor, then the step. w, W: the step ends the slice with a short or a long wait. x: an exception before the step, y:
# after its write; each only once. X: an exception each time. c: check whether the run is cancelled. a: a statement in
# run_alone. q: the step's write is tried and its error ignored. k: the worker dies there each time, j: only the first
# time, K: each time, after a yield that does not move the cursor.
LETTERS = "sssssooonwWxxyqcaXkKj"
WAITS = {"w": 40, "W": 1000}
CLEANUP_WAIT_S = real_cleanup.WAIT_S
DEFAULT_SCRIPT = "sas"

QUERIES = {
    "record_step": "INSERT INTO steps VALUES (CAST(:run_id AS text), CAST(:place AS integer))",
    "begin_anew": "INSERT INTO steps VALUES (CAST(:run_id AS text), NULL)",
}
LONE_STEP = "INSERT INTO lone_steps SELECT id, lease_expires_at, slice, status FROM job_runs WHERE id = '{0}'"

TYPES = {
    job_type.name: job_type
    for job_type in (
        JobType(
            name="walk",
            label="Walk",
            description="Walks",
            scope="project",
            retry=Retry(attempts=2, delay_s=30),
            max_duration_s=6 * 3600,
        ),
        JobType(name="hike", label="Hike", description="Walks without a second try", scope="project", at_once=1),
        JobType(
            name="tally",
            label="Tally",
            description="Walks for the system",
            scope="system",
            schedule="0/30 * * * *",
            retry=Retry(attempts=1),
        ),
        JOB_TYPES["soft_delete_cleanup"],
    )
}
SCHEDULES = {"tally": "cron(0/30 * * * ? *)", "soft_delete_cleanup": "cron(0 0/6 * * ? *)"}
SCHEDULED_EVERY_S = {"tally": 1800, "soft_delete_cleanup": 6 * 3600}

Steps = Generator[Progress | Wait, None, dict[str, Any]]


def walk(run: Run, db: JobDatabase) -> Steps:
    actor = current()
    assert actor
    script = run.params.get("script", DEFAULT_SCRIPT)
    place = (run.cursor or {"place": 0})["place"]
    while place < len(script):
        letter = script[place]
        if letter == "c" and run.is_cancelled():
            return {"stopped": place}
        if letter == "X" or (letter == "x" and run.failures == 0):
            raise ValueError("stumbled")
        if letter == "k" or (letter == "j" and actor.world.is_first_time(run.id, place)):
            actor.die()
        if letter == "a":
            db.run_alone(LONE_STEP.format(run.id), patience_ms=50)
        if letter in "nK":
            yield Progress(processed=place, total=len(script), message="Rested", cursor=run.cursor)
        if letter == "K":
            actor.die()
        if letter != "o":
            # The executor remembers the error.
            with suppress(Exception) if letter == "q" else nullcontext():
                if place == 0:
                    db.write("begin_anew", run_id=run.id)  # a cursor that another release wrote was ignored
                db.write("record_step", run_id=run.id, place=place)
        if letter == "y" and run.failures == 0:
            raise ValueError("stumbled")
        place += 1
        step = Progress(processed=place, total=len(script), message="Walked", cursor={"place": place})
        yield Wait(seconds=WAITS[letter], why="a rest", cursor=step.cursor, progress=step) if letter in WAITS else step
    return {"walked": place}


def soft_delete_cleanup(run: Run, db: JobDatabase) -> Steps:
    """Run the product's own cleanup. Its batch sizes depend on a clock, which stands still here."""
    return (yield from real_cleanup.soft_delete_cleanup(run, db, clock=lambda: 0.0))


JOBS = {"walk": walk, "hike": walk, "tally": walk, "soft_delete_cleanup": soft_delete_cleanup}
