-- System runs that failed in the last day. Found by creation time, which has an index: no run takes a week.
SELECT id, job_type, error, count(*) OVER () AS failed
FROM job_runs
WHERE project_id IS NULL AND status = 'failed' AND created_at > statement_timestamp() - interval '8 days'
  AND completed_at > statement_timestamp() - interval '1 day'
ORDER BY completed_at DESC LIMIT 1;
