-- What has not succeeded for longer than expected, each until it is due again; of two sweeps at once the second finds
-- them moved on. Nobody expects anything of what is paused.
UPDATE job_successes success
SET overdue_at = statement_timestamp() + expected_within
WHERE overdue_at <= statement_timestamp()
RETURNING job_type, last_success_at, since, extract(epoch FROM statement_timestamp() - since)::float8 AS silent_s,
          EXISTS (SELECT FROM job_pauses pause WHERE pause.job_type = success.job_type) AS is_paused,
          (SELECT run.error FROM job_runs run
           WHERE run.job_type = success.job_type AND run.project_id IS NULL AND run.completed_at > success.since
           ORDER BY run.created_at DESC LIMIT 1) AS last_error;
