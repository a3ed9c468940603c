-- Alerts that were deleted, or whose team was deleted for good.
SELECT CAST(id AS text) AS key FROM job_alerts alert
WHERE deleted_at IS NOT NULL OR NOT EXISTS (SELECT FROM teams WHERE teams.id = alert.team_id)
ORDER BY id LIMIT CAST(:at_most AS integer);
