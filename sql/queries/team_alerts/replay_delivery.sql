-- Sends a delivery again, under its id. Returns nothing for one that is still to be sent.
UPDATE job_alert_deliveries
SET status = 'unsent', send_at = clock_timestamp(), expires_at = clock_timestamp() + interval '1 day', tries = 0,
    ended_at = NULL
WHERE id = CAST(:delivery_id AS uuid) AND alert_id = CAST(:alert_id AS uuid) AND status IN ('sent', 'failed')
RETURNING id;
