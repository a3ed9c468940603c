-- The caller has locked it. The sweep ends what it had to send.
UPDATE job_alerts
SET paused_by = CAST(:by AS text), paused_why = CAST(:why AS text), paused_at = clock_timestamp()
WHERE id = CAST(:alert_id AS uuid);
