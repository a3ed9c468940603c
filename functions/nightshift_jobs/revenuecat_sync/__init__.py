"""RevenueCat Sync: subscriber data and revenue of all users of a project."""

from nightshift.jobs import JobType

JOB_TYPE = JobType(
    name="revenuecat_sync",
    label="RevenueCat Sync",
    description="Syncs subscriber data from RevenueCat for all users in a project",
    scope="project",
    params="nightshift_jobs.revenuecat_sync.params:RevenueCatSyncParams",
    # 100,000 users take ten hours of RevenueCat's rate limit, which other clients may share.
    max_duration_s=3 * 86_400,
    total="app_users",
    integration="revenuecat",
    rights={
        "teams": ("SELECT",),
        "project_integrations": ("SELECT",),
        "app_users": ("SELECT", "UPDATE (properties, total_revenue_usd_cents, revenue_synced_at)"),
        "job_revenuecat_users": ("SELECT", "INSERT", "UPDATE"),
        "job_revenuecat_projects": ("SELECT", "INSERT", "UPDATE"),
    },
)
