"""RevenueCat Sync: subscriber data and revenue of all users of a project."""

from nightshift.jobs import JobType, Provider

PROVIDER = Provider(
    name="revenuecat",
    label="RevenueCat",
    config="nightshift_jobs.revenuecat_sync.key_check:RevenueCatConfig",
    check="nightshift_jobs.revenuecat_sync.key_check:check_key",
    key_title="v2 secret key",
    key_description=(
        "From RevenueCat's project settings, API keys. It needs to read customer information and the project's "
        "configuration."
    ),
)

JOB_TYPE = JobType(
    name="revenuecat_sync",
    label="RevenueCat Sync",
    description="Syncs subscriber data from RevenueCat for all users in a project",
    scope="project",
    params="nightshift_jobs.revenuecat_sync.params:RevenueCatSyncParams",
    # 100,000 users take ten hours of RevenueCat's rate limit, which other clients may share.
    max_duration_s=3 * 86_400,
    total="app_users",
    provider="revenuecat",
    rights={
        "teams": ("SELECT",),
        "project_integrations": ("SELECT",),
        "app_users": ("SELECT", "UPDATE (properties, total_revenue_usd_cents, revenue_synced_at)"),
        "job_revenuecat_users": ("SELECT", "INSERT", "UPDATE"),
        "job_revenuecat_projects": ("SELECT", "INSERT", "UPDATE"),
    },
)
