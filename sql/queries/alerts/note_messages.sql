-- Of these alerts, those whose endpoint has to be called now. No other message is sent to the queue for a while.
UPDATE job_alerts AS alert
SET messaged_until = CAST(:now AS timestamptz) + make_interval(secs => CAST(:resend_delay_s AS float8))
WHERE alert.id = ANY (CAST(:keys AS uuid[])) AND alert.channel <> 'mail' AND alert.deleted_at IS NULL
  AND EXISTS (
      SELECT FROM job_alert_deliveries delivery
      WHERE delivery.alert_id = alert.id AND delivery.status = 'unsent' AND delivery.send_at <= CAST(:now AS timestamptz)
        AND (delivery.kind = 'test'
             OR (alert.paused_at IS NULL AND (alert.retry_at IS NULL OR alert.retry_at <= CAST(:now AS timestamptz)))))
RETURNING CAST(alert.id AS text) AS id, CAST(alert.team_id AS text) AS team_id;
