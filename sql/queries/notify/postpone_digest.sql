-- The digest waits for its team's next share. This attempt does not count.
UPDATE job_outbox
SET send_at = CAST(:opens_at AS timestamptz), retry_at = CAST(:opens_at AS timestamptz), attempts = attempts - 1,
    claimed_until = NULL
WHERE id = CAST(:outbox_id AS uuid) AND status = 'unsent' AND attempts = CAST(:attempt AS integer);
