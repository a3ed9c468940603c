-- It tells of what happens from now on. The caller has locked it. A call that goes on is of before: its claim is over, so
-- its failure does not pause the alert again.
UPDATE job_alerts
SET paused_by = NULL, paused_why = NULL, paused_at = NULL, pause_untold = false, active_since = clock_timestamp(),
    claims = claims + 1, failures = 0, failing_since = NULL, retry_at = NULL
WHERE id = CAST(:alert_id AS uuid);
