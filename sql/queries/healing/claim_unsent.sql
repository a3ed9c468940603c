-- Claims these mails and events to send their messages. The same statement postpones the next attempt, so that two
-- concurrent sweeps send one message. Each delay doubles: a backlog must not become a storm. A claim resets the delay.
WITH due AS (
    SELECT id FROM job_outbox WHERE id = ANY (CAST(:keys AS uuid[])) AND send_at <= statement_timestamp()
    FOR UPDATE SKIP LOCKED
)
UPDATE job_outbox AS notice
SET resends = resends + 1,
    send_at = clock_timestamp() + make_interval(secs => least(
        CAST(:resend_delay_s AS float8) * power(2, least(resends, 30)), CAST(:resend_ceiling_s AS float8)))
FROM due WHERE notice.id = due.id
RETURNING notice.id, notice.kind,
          coalesce(notice.team_id, (SELECT team_id FROM job_runs WHERE id = notice.run_id)) AS team_id;
