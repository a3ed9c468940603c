-- The user at whom the sync looked last, who has a running subscription if there is one: RevenueCat knows this user.
SELECT u.user_id
FROM job_revenuecat_users look JOIN app_users u ON u.id = look.app_user_id
WHERE look.project_id = CAST(:project_id AS uuid) AND look.period_ends_at IS NOT NULL
ORDER BY look.period_ends_at DESC, look.app_user_id
LIMIT 1;
