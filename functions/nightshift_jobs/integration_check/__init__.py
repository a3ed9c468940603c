"""Integration Check: what a stored key of a provider may read."""

from nightshift.jobs import JobType

JOB_TYPE = JobType(
    name="integration_check",
    label="Integration Check",
    description="Tests the key that a project has stored for a provider",
    scope="project",
    params="nightshift_jobs.integration_check.params:IntegrationCheckParams",
    max_duration_s=3600,
)
