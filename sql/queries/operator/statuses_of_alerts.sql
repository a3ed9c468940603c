-- What an alert is doing, for the messages that name it.
SELECT id, CASE WHEN deleted_at IS NOT NULL THEN 'deleted' WHEN paused_at IS NOT NULL THEN 'paused'
                WHEN failures > 0 THEN 'failing' ELSE 'active' END AS status
FROM job_alerts WHERE id = ANY (CAST(:ids AS uuid[]));
