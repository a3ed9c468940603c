-- Claims these job types to report them; each is reported again when it is overdue once more. Paused jobs are expected
-- to do nothing. Rows that another session has locked (a sweep that reports them, a run that succeeds, a deployment)
-- are skipped instead of waited for, so that locking several rows in any order cannot deadlock.
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
          -- Of its last run, which is one of the last runs of each status (list_system_runs.sql).
          (SELECT CASE WHEN completed_at > success.since THEN error END
           FROM unnest(ARRAY['completed', 'failed', 'cancelled']) AS ended (status), LATERAL (
               SELECT error, created_at, completed_at FROM job_runs
               WHERE project_id IS NULL AND job_type = success.job_type AND status = ended.status
                 AND completed_at IS NOT NULL
               ORDER BY project_id DESC, created_at DESC LIMIT 1) AS run
           ORDER BY created_at DESC LIMIT 1) AS last_error;
