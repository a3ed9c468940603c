-- A mail to several operators becomes one for each of them, so that an address that takes no mail costs the others nothing:
-- this row is the first one's, the sweep sends the others. Fenced like the end of an attempt. Of a run, the row stays
-- without a recipient: an ending that is told again knows its mail by that, and the others are not made twice.
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
