-- Ends what these alerts had to send when they were paused or deleted. The test of a paused alert goes on.
UPDATE job_alert_deliveries AS delivery
SET status = 'failed', send_at = NULL, ended_at = clock_timestamp(),
    error = coalesce(delivery.error || '; then the alert was ', 'The alert was ')
            || CASE WHEN alert.deleted_at IS NULL THEN 'paused' ELSE 'deleted' END
FROM job_alerts alert
WHERE alert.id = ANY (CAST(:keys AS uuid[])) AND delivery.alert_id = alert.id
  AND delivery.status IN ('held', 'unsent')
  AND (alert.deleted_at IS NOT NULL OR (alert.paused_at IS NOT NULL AND delivery.kind <> 'test'))
RETURNING delivery.id;
