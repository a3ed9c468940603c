-- The next users of a full sync, by id. Attribution is asked for unless the app or a final answer has settled it.
SELECT u.id, u.user_id, u.is_anonymous,
       CASE WHEN look.app_user_id IS NULL THEN NOT u.properties ? 'attribution_source'
            ELSE look.attribution_open END AS asks_attribution
FROM app_users u
LEFT JOIN job_revenuecat_users look ON look.app_user_id = u.id
WHERE u.project_id = CAST(:project_id AS uuid)
  AND (CAST(:after AS uuid) IS NULL OR u.id > CAST(:after AS uuid))
ORDER BY u.id
LIMIT CAST(:page_size AS integer);
