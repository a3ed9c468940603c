-- Claims one attempt at each of these mails or events, with all its content. A function claims only its own kind. No
-- other attempt starts before claimed_until, so a message that arrives twice finds nothing; nor before retry_at, so that
-- copies of a message do not use up the attempts. send_at moves on at once: if this function dies, the sweep returns to
-- the row. A row that another session has locked is skipped: the others do not wait for it, and the sweep returns to it.
-- The statement reads no table of the platform, so that a missing right there cannot keep the operator from being told.
WITH free AS MATERIALIZED (
    SELECT id, clock_timestamp() + make_interval(secs => least(
        CAST(:retry_delay_s AS float8) * power(2, least(attempts, 30)), CAST(:retry_ceiling_s AS float8))) AS attempt_at
    FROM job_outbox
    WHERE id = ANY (CAST(:outbox_ids AS uuid[])) AND kind = CAST(:kind AS text) AND status = 'unsent'
      AND retry_at <= clock_timestamp() AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())
    FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE job_outbox AS notice
    SET attempts = attempts + 1, resends = 0,
        claimed_until = clock_timestamp() + make_interval(secs => CAST(:claim_s AS float8)),
        send_at = free.attempt_at, retry_at = free.attempt_at
    FROM free WHERE notice.id = free.id
    RETURNING notice.id, kind, run_id, team_id, recipient, content, attempts, error
)
SELECT run.*, notice.id AS outbox_id, notice.kind, notice.recipient, notice.content, notice.attempts,
       notice.error AS last_error, notice.team_id AS digest_of
FROM claimed notice LEFT JOIN job_runs_public run ON run.id = notice.run_id;
