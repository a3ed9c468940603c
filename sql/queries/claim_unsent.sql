-- Take these mails and events to send their messages. Moved on in the same statement, so that two sweeps at once send
-- one message, and each time twice as much: a backlog must not become a storm. A claim moves it on anew.
WITH due AS (
    SELECT id FROM job_outbox WHERE id = ANY (CAST(:keys AS uuid[])) AND send_at <= statement_timestamp()
    FOR UPDATE SKIP LOCKED
)
UPDATE job_outbox AS notice
SET resends = resends + 1,
    send_at = clock_timestamp() + make_interval(secs => least(
        CAST(:resend_delay_s AS float8) * power(2, least(resends, 30)), CAST(:resend_ceiling_s AS float8)))
FROM due WHERE notice.id = due.id
RETURNING notice.id,
          coalesce(notice.team_id, (SELECT team_id FROM job_runs WHERE id = notice.run_id)) AS team_id;
