-- The next users at whom no sync has looked, by id.
SELECT u.id, u.user_id, u.is_anonymous, NOT u.properties ? 'attribution_source' AS asks_attribution
FROM app_users u
WHERE u.project_id = CAST(:project_id AS uuid)
  AND (CAST(:after AS uuid) IS NULL OR u.id > CAST(:after AS uuid))
  AND NOT u.is_anonymous AND u.user_id NOT LIKE '$RCAnonymousID:%'
  AND NOT EXISTS (SELECT FROM job_revenuecat_users look WHERE look.app_user_id = u.id)
ORDER BY u.id
LIMIT CAST(:page_size AS integer);
