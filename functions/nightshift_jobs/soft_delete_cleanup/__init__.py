"""Soft-Delete Cleanup: deletes resources for good, seven days after their soft deletion."""

from nightshift.jobs import JobType, Retry

JOB_TYPE = JobType(
    name="soft_delete_cleanup",
    label="Soft-Delete Cleanup",
    description="Hard-deletes resources soft-deleted more than 7 days ago",
    scope="system",
    schedule="0 3 * * *",
    # A partition may be dropped during a step, for example. Committed steps stay done.
    retry=Retry(attempts=5),
)
