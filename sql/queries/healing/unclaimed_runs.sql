-- Runs whose message was not claimed in time. Uses the small index of live runs.
SELECT CAST(id AS text) AS key FROM job_runs
WHERE completed_at IS NULL AND lease_expires_at IS NULL AND resend_at <= statement_timestamp()
  AND id <> ALL (CAST(:passed_over AS uuid[]))
ORDER BY resend_at LIMIT CAST(:batch AS integer)
FOR NO KEY UPDATE SKIP LOCKED;
