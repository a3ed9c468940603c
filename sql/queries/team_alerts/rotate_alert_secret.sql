-- Both secrets sign until the old one ends, so that the receiver has time to change. The caller has locked it.
UPDATE job_alerts
SET old_secret_encrypted = secret_encrypted, secret_encrypted = CAST(:secret_encrypted AS bytea),
    old_secret_until = clock_timestamp() + make_interval(secs => CAST(:overlap_s AS float8))
WHERE id = CAST(:alert_id AS uuid)
RETURNING old_secret_until;
