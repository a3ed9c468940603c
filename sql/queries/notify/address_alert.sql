-- Splits a mail to several operators into one mail each, so that a bad address does not affect the others. This row
-- becomes the first operator's mail; the sweep sends the others. Fenced like the end of an attempt. The row of a run's
-- mail keeps a null recipient: if the ending is told again, it finds its mail by that, and the others are not created
-- twice.
WITH first AS (
    UPDATE job_outbox SET recipient = CASE WHEN run_id IS NULL THEN CAST(:first AS text) END
    WHERE id = CAST(:outbox_id AS uuid) AND status = 'unsent' AND attempts = CAST(:attempt AS integer)
      AND recipient IS NULL
    RETURNING run_id, content
), others AS (
    INSERT INTO job_outbox (run_id, content, recipient, send_at)
    SELECT first.run_id, first.content, other, clock_timestamp() FROM first, unnest(CAST(:others AS text[])) AS other
    ON CONFLICT (run_id, kind, recipient) WHERE run_id IS NOT NULL DO NOTHING
)
SELECT true AS is_addressed FROM first;
