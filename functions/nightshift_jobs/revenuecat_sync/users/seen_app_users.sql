-- The users with these ids, as RevenueCat's list of customers names them, at whom this sync has not looked yet.
SELECT u.id, u.user_id, u.is_anonymous, look.attribution_open AS asks_attribution
FROM app_users u JOIN job_revenuecat_users look ON look.app_user_id = u.id
WHERE u.project_id = CAST(:project_id AS uuid) AND u.user_id = ANY (CAST(:user_ids AS text[]))
  AND look.looked_at < CAST(:began AS timestamptz)
ORDER BY u.id;
