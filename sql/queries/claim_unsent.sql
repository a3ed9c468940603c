-- Mails and events whose message was lost, or whose next attempt is due. Moved on in the same statement, so that two sweeps at once
-- send one message; the notify function moves it on again when it claims the row.
WITH due AS (
    SELECT id FROM job_outbox WHERE send_at <= statement_timestamp()
    ORDER BY send_at LIMIT CAST(:batch AS integer)
    FOR UPDATE SKIP LOCKED
)
UPDATE job_outbox AS notice
SET send_at = clock_timestamp() + make_interval(secs => CAST(:again_s AS float8))
FROM due WHERE notice.id = due.id
RETURNING notice.id;
