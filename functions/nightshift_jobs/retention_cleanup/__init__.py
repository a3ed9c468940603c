"""Retention Cleanup: deletes events that are older than their project keeps them."""

from nightshift.jobs import JobType, Retry

JOB_TYPE = JobType(
    name="retention_cleanup",
    label="Retention Cleanup",
    description="Deletes events that are older than their project keeps them",
    scope="system",
    schedule="0 2 * * *",
    # It deletes what a platform may so far have kept without a limit.
    opt_in=True,
    params="nightshift_jobs.retention_cleanup.params:RetentionCleanupParams",
    # A partition may be dropped during a step, for example. Committed steps stay done.
    retry=Retry(attempts=5),
)
