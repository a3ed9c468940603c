-- Ends what these alerts had to send when they were paused or deleted, and the mails for which the team had no share for a
-- day. The test of a paused alert goes on.
UPDATE job_alert_deliveries AS delivery
SET status = 'failed', send_at = NULL, ended_at = clock_timestamp(),
    error = coalesce(delivery.error || '; then t', 'T') || CASE
        WHEN alert.deleted_at IS NOT NULL THEN 'he alert was deleted'
        WHEN alert.paused_at IS NOT NULL AND delivery.kind <> 'test' THEN 'he alert was paused'
        ELSE 'he team''s limit of mails per hour left no room for it within a day' END
FROM job_alerts alert
WHERE alert.id = ANY (CAST(:keys AS uuid[])) AND delivery.alert_id = alert.id
  AND delivery.status IN ('held', 'unsent')
  AND (alert.deleted_at IS NOT NULL OR (alert.paused_at IS NOT NULL AND delivery.kind <> 'test')
       OR (alert.channel = 'mail' AND delivery.status = 'unsent' AND delivery.expires_at <= CAST(:now AS timestamptz)))
RETURNING delivery.id;
