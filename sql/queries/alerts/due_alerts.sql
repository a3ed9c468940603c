-- The alerts that have something to send now, the longest waiting first: also alerts that were paused or deleted since,
-- whose deliveries end. One whose message is on its way, or whose endpoint is being called, is left alone; so are a team's
-- alerts by mail while a mail of theirs waits in the outbox, unless a delivery has expired.
SELECT CAST(alert.id AS text) AS key
FROM job_alert_deliveries delivery JOIN job_alerts alert ON alert.id = delivery.alert_id
WHERE delivery.status IN ('held', 'unsent')
  AND (alert.claimed_until IS NULL OR alert.claimed_until <= CAST(:now AS timestamptz))
  AND (alert.messaged_until IS NULL OR alert.messaged_until <= CAST(:now AS timestamptz))
  AND (alert.paused_at IS NOT NULL OR alert.deleted_at IS NOT NULL
       OR (delivery.status = 'held' AND alert.quiet_until <= CAST(:now AS timestamptz))
       OR (delivery.send_at <= CAST(:now AS timestamptz)
           AND (delivery.kind = 'test' OR alert.retry_at IS NULL OR alert.retry_at <= CAST(:now AS timestamptz))))
  AND (alert.channel <> 'mail' OR delivery.expires_at <= CAST(:now AS timestamptz) OR NOT EXISTS (
      SELECT FROM job_outbox mail
      WHERE mail.team_id = alert.team_id AND mail.status = 'unsent' AND mail.attempts = 0 AND mail.content ? 'alert_id'))
GROUP BY alert.id ORDER BY min(delivery.created_at) LIMIT CAST(:at_most AS integer);
