-- Its secrets go at once; the sweep deletes its deliveries and the row. The caller has locked it.
UPDATE job_alerts
SET deleted_at = clock_timestamp(), secret_encrypted = NULL, old_secret_encrypted = NULL, old_secret_until = NULL
WHERE id = CAST(:alert_id AS uuid);
