-- The deliveries by mail that are due, the oldest first, of teams without a mail of an alert that waits in the outbox.
-- sent_count are the mails of the team's share within the last hour. The caller hands deliveries over in this transaction.
SELECT delivery.id, delivery.kind, delivery.data, alert.id AS alert_id, alert.name, alert.team_id, (
    SELECT count(*) FROM job_mail_shares share, unnest(share.sent_at) AS mail
    WHERE share.team_id = alert.team_id AND mail > clock_timestamp() - interval '1 hour') AS sent_count
FROM job_alert_deliveries delivery JOIN job_alerts alert ON alert.id = delivery.alert_id
WHERE alert.id = ANY (CAST(:keys AS uuid[])) AND alert.channel = 'mail' AND alert.deleted_at IS NULL
  AND (alert.paused_at IS NULL OR delivery.kind = 'test')
  AND delivery.status = 'unsent' AND delivery.send_at <= CAST(:now AS timestamptz)
  AND NOT EXISTS (
      SELECT FROM job_outbox mail
      WHERE mail.team_id = alert.team_id AND mail.status = 'unsent' AND mail.attempts = 0 AND mail.content ? 'alert_id')
ORDER BY delivery.created_at, delivery.id
FOR NO KEY UPDATE OF delivery SKIP LOCKED;
