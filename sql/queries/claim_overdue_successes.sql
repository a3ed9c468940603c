-- Take these to tell of them: each until it is overdue once more. A paused job is expected to do nothing.
-- Skipped is what another sweep tells of, what is succeeding just now and what a deployment changes: never waited for,
-- so that several rows in any order can be no deadlock.
WITH overdue AS MATERIALIZED (
    SELECT job_type FROM job_successes
    WHERE job_type = ANY (CAST(:keys AS text[])) AND overdue_at <= statement_timestamp()
    FOR UPDATE SKIP LOCKED
)
UPDATE job_successes success
SET overdue_at = statement_timestamp() + expected_within
FROM overdue WHERE success.job_type = overdue.job_type
RETURNING success.job_type, last_success_at, since, extract(epoch FROM statement_timestamp() - since)::float8 AS silent_s,
          EXISTS (SELECT FROM job_pauses pause WHERE pause.job_type = success.job_type) AS is_paused,
          (SELECT run.error FROM job_runs run
           WHERE run.job_type = success.job_type AND run.project_id IS NULL AND run.completed_at > success.since
           ORDER BY run.created_at DESC LIMIT 1) AS last_error;
