"""Database Pruning: drops the oldest partitions of events while the database exceeds its limit."""

from nightshift.jobs import JobType

JOB_TYPE = JobType(
    name="db_pruning",
    label="Database Pruning",
    description="Drops the oldest event partitions when the database exceeds its size limit",
    scope="system",
    schedule="0 * * * *",
    counts_bytes=True,
)
