"""The same jobs in the next release. Neither release reads a cursor that the other one wrote."""

from nightshift.jobs import JobDatabase, Run
from tests.simulation import jobs

CURSOR_VERSION = 2


def walk(run: Run, db: JobDatabase) -> jobs.Steps:
    return (yield from jobs.walk(run, db))


JOBS = jobs.JOBS | {"walk": walk, "hike": walk, "tally": walk}
