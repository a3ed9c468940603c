"""What ``nightshift new job`` writes, for a job called ``sample_job`` and Sample Job. It works as it stands."""

JOB = '''\
"""Sample Job: a list of things, one a step."""

from nightshift.job import JobDatabase, Progress, Run, Steps

THINGS = ("one thing", "another thing", "the last thing")


def sample_job(run: Run, db: JobDatabase) -> Steps:
    """What lies between two yields happens as a whole or not at all; a new slice knows nothing but run.cursor."""
    done = run.cursor["done"] if run.cursor else 0
    while done < len(THINGS):
        # Slow calls to the outside come first. The first db.write of a step begins its transaction …
        thing, done = THINGS[done], done + 1
        # … which commits here, together with the cursor and the progress.
        yield Progress(processed=done, total=len(THINGS), message=f"Did {thing}", cursor={"done": done})
    return {"done": done}
'''

TEST = '''\
"""The job sample_job through the engine, on a real Postgres."""

from tests.job_run import assert_resumable

NAME = "sample_job"


def left_behind(owner):
    """What the job is there for: the rows it wrote, in an order of their own."""
    return owner.run_script("SELECT job_type, progress FROM job_runs")


def test_it_comes_to_its_end(job_run):
    run = job_run(NAME).finish()
    assert run.result == {"done": 3}
    assert [step.cursor for step in run.checkpoints] == [{"done": 1}, {"done": 2}, {"done": 3}]


def test_whatever_happens_to_its_workers_the_end_is_the_same(job_run):
    assert_resumable(job_run, NAME, end=left_behind)
'''

JOB_TYPE = """\
        JobType(
            name="sample_job",
            label="Sample Job",
            description="Sample Job",
            scope="project",
        ),
"""


def named(text: str, *, name: str, label: str) -> str:
    return text.replace("sample_job", name).replace("Sample Job", label)
