-- Claims the oldest delivery of an alert that is due, a test first. The caller has locked the alert. The try counts from
-- here on: if the function dies, the sweep comes back to it after the delay.
WITH due AS MATERIALIZED (
    SELECT delivery.id
    FROM job_alert_deliveries delivery JOIN job_alerts alert ON alert.id = delivery.alert_id
    WHERE alert.id = CAST(:alert_id AS uuid) AND alert.channel <> 'mail'
      AND delivery.status = 'unsent' AND delivery.send_at <= CAST(:now AS timestamptz)
      AND (delivery.kind = 'test'
           OR (alert.paused_at IS NULL AND (alert.retry_at IS NULL OR alert.retry_at <= CAST(:now AS timestamptz))))
    ORDER BY delivery.kind = 'test' DESC, delivery.created_at, delivery.id LIMIT 1
), claimed AS (
    UPDATE job_alerts AS alert
    SET claims = claims + 1, messaged_until = NULL,
        claimed_until = CAST(:now AS timestamptz) + make_interval(secs => CAST(:claim_s AS float8))
    FROM due WHERE alert.id = CAST(:alert_id AS uuid)
    RETURNING alert.*
), tried AS (
    UPDATE job_alert_deliveries AS delivery
    SET tries = tries + 1, send_at = CAST(:now AS timestamptz) + make_interval(secs => least(
        CAST(:retry_delay_s AS float8) * power(2, least(tries, 30)), CAST(:retry_ceiling_s AS float8)))
    FROM due WHERE delivery.id = due.id
    RETURNING delivery.*
)
SELECT tried.id, tried.kind, tried.data, tried.tries, tried.created_at, tried.send_at, tried.expires_at,
       claimed.id AS alert_id, claimed.team_id, claimed.channel, claimed.name, claimed.config, claimed.claims,
       claimed.failures, claimed.failing_since, claimed.retry_at, claimed.secret_encrypted,
       CASE WHEN claimed.old_secret_until > CAST(:now AS timestamptz) THEN claimed.old_secret_encrypted END
           AS old_secret_encrypted
FROM claimed, tried;
