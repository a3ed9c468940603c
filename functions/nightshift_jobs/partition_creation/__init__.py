"""Partition Creation: partitions of the event tables for the months ahead."""

from nightshift.jobs import JobType

JOB_TYPE = JobType(
    name="partition_creation",
    label="Partition Creation",
    description="Creates monthly partitions for the event tables",
    scope="system",
    schedule="0 4 * * *",
)
