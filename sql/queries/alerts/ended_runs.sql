-- Runs that have ended and of which an alert has yet to tell, the oldest first: since the last look and a little before
-- it, because an ending may commit late, and runs that were set aside. A run of which no alert tells costs no row.
-- "first_failure" and "recovered" compare with the last run of the project and type that completed or failed.
-- insert_deliveries.sql has the same conditions.
WITH ended AS MATERIALIZED (
    SELECT id FROM job_runs
    WHERE completed_at >= (
        SELECT greatest(min(alert.active_since), (SELECT alerts_until FROM job_sweep))
        FROM job_alerts alert WHERE alert.paused_at IS NULL AND alert.deleted_at IS NULL HAVING count(*) > 0)
    UNION
    SELECT CAST(key AS uuid) FROM job_set_aside WHERE healer = 'alerts_of_runs' AND key <> ''
)
SELECT CAST(run.id AS text) AS key
FROM ended JOIN job_runs run ON run.id = ended.id
WHERE run.project_id IS NOT NULL AND run.completed_at IS NOT NULL
  AND EXISTS (
      SELECT FROM job_alerts alert
      WHERE alert.team_id = run.team_id AND alert.paused_at IS NULL AND alert.deleted_at IS NULL
        AND alert.active_since <= run.completed_at
        AND (alert.job_types IS NULL OR run.job_type = ANY (alert.job_types))
        AND (alert.project_ids IS NULL OR run.project_id = ANY (alert.project_ids))
        AND ('ended' = ANY (alert.events)
             OR (run.status = 'failed' AND alert.events && ARRAY['failed', 'first_failure'])
             OR (run.status = 'completed' AND 'recovered' = ANY (alert.events)))
        AND NOT EXISTS (SELECT FROM job_alert_deliveries told
                        WHERE told.alert_id = alert.id AND told.about = CAST(run.id AS text)))
ORDER BY run.completed_at, run.id LIMIT CAST(:at_most AS integer);
