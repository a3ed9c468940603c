-- Moves the mail into the digest that its recipient gets when the team has a share again, or into a digest that is
-- already waiting. A digest that is being sent accepts no more; the lock on its row decides which one is used. Fenced
-- like the end of an attempt.
WITH digest AS (
    INSERT INTO job_outbox AS digest (team_id, recipient, content, takes_more, send_at, retry_at)
    VALUES (CAST(:team_id AS uuid), CAST(:recipient AS text), jsonb_build_object('digest', true), true,
            CAST(:opens_at AS timestamptz), CAST(:opens_at AS timestamptz))
    ON CONFLICT (team_id, recipient) WHERE takes_more AND status = 'unsent' DO UPDATE SET takes_more = true
    RETURNING id
)
UPDATE job_outbox AS mail
SET status = 'digested', digest_id = digest.id, send_at = NULL, ended_at = clock_timestamp()
FROM digest
WHERE mail.id = CAST(:outbox_id AS uuid) AND mail.status = 'unsent' AND mail.attempts = CAST(:attempt AS integer);
