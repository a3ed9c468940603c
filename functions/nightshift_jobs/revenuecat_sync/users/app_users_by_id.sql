-- The users of a project with these ids, in this order.
SELECT u.id, u.user_id, u.is_anonymous,
       CASE WHEN look.app_user_id IS NULL THEN NOT u.properties ? 'attribution_source'
            ELSE look.attribution_open END AS asks_attribution
FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS wanted (id, place)
JOIN app_users u ON u.id = wanted.id AND u.project_id = CAST(:project_id AS uuid)
LEFT JOIN job_revenuecat_users look ON look.app_user_id = u.id
ORDER BY wanted.place;
