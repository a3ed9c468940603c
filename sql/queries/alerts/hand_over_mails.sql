-- Writes the mails of a delivery, each with the share of the team, and ends the delivery: the outbox has it from now on.
WITH written AS (
    INSERT INTO job_outbox (content, recipient, team_id)
    SELECT CAST(:content AS jsonb), unnest(CAST(:recipients AS text[])), CAST(:team_id AS uuid)
    RETURNING id
)
UPDATE job_alert_deliveries
SET status = CASE WHEN EXISTS (SELECT FROM written) THEN 'sent' ELSE 'failed' END,
    error = CASE WHEN NOT EXISTS (SELECT FROM written)
                 THEN 'No address gets it: the team has no admin with an address, or none of the alert''s is confirmed' END,
    tries = tries + 1, send_at = NULL, ended_at = clock_timestamp()
WHERE id = CAST(:delivery_id AS uuid)
RETURNING status;
