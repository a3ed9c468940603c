-- Sends unclaimed messages again. Each delay doubles, up to a ceiling: a backlog must not become a storm. Rows that
-- another sweep has locked are left to that sweep.
WITH due AS (
    SELECT id FROM job_runs
    WHERE id = ANY (CAST(:keys AS uuid[])) AND status IN ('pending', 'running')
      AND lease_expires_at IS NULL AND resend_at <= clock_timestamp()
    FOR UPDATE SKIP LOCKED
)
UPDATE job_runs AS run
SET resends = resends + 1,
    resend_at = clock_timestamp() + make_interval(secs => least(
        CAST(:resend_delay_s AS float8) * power(2, least(resends + 1, 30)), CAST(:resend_ceiling_s AS float8)))
FROM due WHERE run.id = due.id
RETURNING run.id, run.slice, run.team_id;
