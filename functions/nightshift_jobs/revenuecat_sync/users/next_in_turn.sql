-- The next of the users with a running subscription, or of those without, whose look is the oldest. "others" counts them.
SELECT u.id, u.user_id, u.is_anonymous, look.attribution_open AS asks_attribution,
       CAST(look.looked_at AS text) AS place,
       CASE WHEN CAST(:after_id AS uuid) IS NULL
            THEN (SELECT count(*) FROM job_revenuecat_users other
                  WHERE other.project_id = CAST(:project_id AS uuid)
                    AND (other.period_ends_at IS NOT NULL) = CAST(:is_running AS boolean)
                    AND other.looked_at < CAST(:began AS timestamptz)) END AS others
FROM job_revenuecat_users look JOIN app_users u ON u.id = look.app_user_id
WHERE look.project_id = CAST(:project_id AS uuid) AND look.looked_at < CAST(:began AS timestamptz)
  AND (look.period_ends_at IS NOT NULL) = CAST(:is_running AS boolean)
  AND (CAST(:after_id AS uuid) IS NULL
       OR (look.looked_at, look.app_user_id) > (CAST(:after AS timestamptz), CAST(:after_id AS uuid)))
ORDER BY look.looked_at, look.app_user_id
LIMIT CAST(:page_size AS integer);
