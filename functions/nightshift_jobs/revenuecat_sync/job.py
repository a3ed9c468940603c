"""RevenueCat Sync: updates subscriber data and revenue of all users of a project, one page of users per step."""

import json
import time
from collections.abc import Callable
from copy import deepcopy

from nightshift.jobs import JobDatabase, Run, Steps
from nightshift_jobs.revenuecat_sync.api_errors import OutOfTime, Unavailable
from nightshift_jobs.revenuecat_sync.source import Source
from nightshift_jobs.revenuecat_sync.walk import Walk


def revenuecat_sync(
    run: Run,
    db: JobDatabase,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Steps:
    """Sync the project's users by primary key: three calls per user, one statement per page.

    Raises JobError if RevenueCat refuses the key or the project, or is unavailable for too long.
    """
    walk = _walk_of(run, db)
    with Source(run, db, clock=clock, sleep=sleep) as source:
        while True:
            try:
                users, page = source.next_page(walk)
            except Unavailable as trouble:
                yield walk.waiting(trouble)
                continue
            if not users:
                return walk.result()
            if rows := walk.take(users, page):
                db.write("write_app_users", project_id=run.project_id, users=json.dumps(rows))
            if page.outcomes:
                walk.attempt = 0
            if page.trouble is None or (page.outcomes and isinstance(page.trouble, OutOfTime)):
                yield walk.progress()
            else:
                yield walk.waiting(page.trouble)


def _walk_of(run: Run, db: JobDatabase) -> Walk:
    if not run.cursor:
        return Walk(run_id=run.id, total=db.read("count_app_users", project_id=run.project_id)[0]["total"])
    walk = Walk(**deepcopy(run.cursor))
    if walk.run_id != run.id:  # this run was started from another run's cursor
        walk.attempt, walk.run_id = 0, run.id
    return walk
