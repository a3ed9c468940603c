-- Locks the alert, unless its endpoint is being called: calls of one alert come one after the other.
SELECT id FROM job_alerts
WHERE id = CAST(:alert_id AS uuid) AND deleted_at IS NULL
  AND (claimed_until IS NULL OR claimed_until <= CAST(:now AS timestamptz))
FOR NO KEY UPDATE SKIP LOCKED;
