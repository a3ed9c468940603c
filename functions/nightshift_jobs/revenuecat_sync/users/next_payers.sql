-- The next users whose subscription's period is over or ends within a day, the nearest end first.
SELECT u.id, u.user_id, u.is_anonymous, look.attribution_open AS asks_attribution,
       CAST(look.period_ends_at AS text) AS place
FROM job_revenuecat_users look JOIN app_users u ON u.id = look.app_user_id
WHERE look.project_id = CAST(:project_id AS uuid)
  AND look.period_ends_at < CAST(:began AS timestamptz) + interval '1 day'
  AND look.looked_at < CAST(:began AS timestamptz)
  AND (CAST(:after_id AS uuid) IS NULL
       OR (look.period_ends_at, look.app_user_id) > (CAST(:after AS timestamptz), CAST(:after_id AS uuid)))
ORDER BY look.period_ends_at, look.app_user_id
LIMIT CAST(:page_size AS integer);
