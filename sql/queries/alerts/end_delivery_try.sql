-- Stores what became of a try, under the number of its claim: a function that froze for longer than its claim changes
-- nothing. After the success of an endpoint that was left alone, all that has waited for it is due. A pause ends what is left to send (end_deliveries.sql).
WITH own AS MATERIALIZED (
    SELECT id, retry_at AS retry_at_before FROM job_alerts
    WHERE id = CAST(:alert_id AS uuid) AND claims = CAST(:claims AS integer) AND claimed_until IS NOT NULL
    FOR NO KEY UPDATE
), ended AS (
    UPDATE job_alert_deliveries
    SET status = CAST(:status AS text), answer_status = CAST(:answer_status AS integer), answer = CAST(:answer AS text),
        error = CAST(:error AS text),
        send_at = CASE WHEN CAST(:status AS text) = 'unsent' THEN send_at END,
        ended_at = CASE WHEN CAST(:status AS text) <> 'unsent' THEN clock_timestamp() END
    WHERE id = CAST(:delivery_id AS uuid) AND status = 'unsent' AND EXISTS (SELECT FROM own)
), due AS (
    UPDATE job_alert_deliveries AS delivery SET send_at = CAST(:now AS timestamptz)
    FROM own
    WHERE CAST(:status AS text) = 'sent' AND own.retry_at_before IS NOT NULL AND delivery.alert_id = own.id
      AND delivery.status = 'unsent' AND delivery.id <> CAST(:delivery_id AS uuid)
)
UPDATE job_alerts AS alert
SET claimed_until = NULL,
    failures = CAST(:failures AS integer),
    failing_since = CAST(:failing_since AS timestamptz),
    retry_at = CAST(:retry_at AS timestamptz),
    paused_at = CASE WHEN CAST(:pause_why AS text) IS NULL THEN paused_at ELSE coalesce(paused_at, clock_timestamp()) END,
    paused_by = CASE WHEN CAST(:pause_why AS text) IS NULL THEN paused_by ELSE coalesce(paused_by, 'nightshift') END,
    paused_why = CASE WHEN CAST(:pause_why AS text) IS NULL THEN paused_why
                      ELSE coalesce(paused_why, CAST(:pause_why AS text)) END,
    pause_untold = pause_untold OR (CAST(:pause_why AS text) IS NOT NULL AND paused_at IS NULL)
FROM own WHERE alert.id = own.id
RETURNING alert.id;
