-- It tells of what happens from now on. The caller has locked it.
UPDATE job_alerts
SET paused_by = NULL, paused_why = NULL, paused_at = NULL, pause_untold = false, active_since = clock_timestamp(),
    failures = 0, failing_since = NULL, retry_at = NULL
WHERE id = CAST(:alert_id AS uuid);
