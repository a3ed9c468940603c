-- Alerts that may have to tell of a job that has not succeeded for too long.
SELECT CAST(id AS text) AS key FROM job_alerts
WHERE overdue_look_at <= CAST(:now AS timestamptz) AND paused_at IS NULL AND deleted_at IS NULL
ORDER BY overdue_look_at LIMIT CAST(:at_most AS integer);
