"""The files that ``nightshift new job`` writes, for a job ``sample_job`` labelled Sample Job. The job runs as it is."""

from nightshift.schedules.cron import Cron

DECLARATION = '''\
"""Sample Job: one sentence that says what the job does."""

from nightshift.jobs import JobType

JOB_TYPE = JobType(
    name="sample_job",
    label="Sample Job",
    description="Sample Job",
    scope="project",
)
'''

JOB = '''\
"""Sample Job: work through a list, one item per step."""

from nightshift.jobs import JobDatabase, Progress, Run, Steps

THINGS = ("one thing", "another thing", "the last thing")


def sample_job(run: Run, db: JobDatabase) -> Steps:
    """Work through the list. The writes between two yields are one transaction; a new slice knows only run.cursor."""
    done = run.cursor["done"] if run.cursor else 0
    while done < len(THINGS):
        # Make slow calls to other services first: the first db.write of a step begins its transaction …
        thing, done = THINGS[done], done + 1
        # … which is committed here, together with the cursor and the progress.
        yield Progress(processed=done, total=len(THINGS), message=f"Did {thing}", cursor={"done": done})
    return {"done": done}
'''

TEST = '''\
"""The job sample_job, run by the executor on a real Postgres."""

from nightshift.testing import assert_resumable

NAME = "sample_job"


def left_behind(owner):
    """Return the rows that the job wrote, in a fixed order."""
    return owner.run_script("SELECT job_type, progress FROM job_runs")


def test_it_completes(job_run):
    run = job_run(NAME).finish()
    assert run.result == {"done": 3}
    assert [step.cursor for step in run.checkpoints] == [{"done": 1}, {"done": 2}, {"done": 3}]


def test_the_end_is_the_same_after_every_interruption(job_run):
    assert_resumable(job_run, NAME, end=left_behind)
'''


def render(name: str, *, label: str, schedule: Cron | None) -> dict[str, str]:
    """Return the text of each file of the job's folder. A job with a schedule is a system job."""
    declaration = DECLARATION
    if schedule:
        declaration = declaration.replace('"project",', f'"system",\n    schedule="{schedule.five_fields}",')
    files = {"__init__.py": declaration, "job.py": JOB, f"test_{name}.py": TEST}
    return {file: text.replace("sample_job", name).replace("Sample Job", label) for file, text in files.items()}
