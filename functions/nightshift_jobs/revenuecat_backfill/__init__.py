"""RevenueCat Backfill: the users whom RevenueCat knows and the project does not."""

from nightshift.jobs import JobType

JOB_TYPE = JobType(
    name="revenuecat_backfill",
    label="RevenueCat Backfill",
    description="Creates the users of a project whom RevenueCat knows and the project does not",
    scope="project",
    provider="revenuecat",
    rights={
        "teams": ("SELECT",),
        "project_integrations": ("SELECT",),
        "app_users": ("SELECT", "INSERT (project_id, user_id)"),
        "job_revenuecat_projects": ("SELECT",),
    },
    # RevenueCat's rate limit is shared with the sync and with other clients.
    max_duration_s=3 * 86_400,
)
