-- Runs whose worker died or froze, the longest first.
SELECT CAST(id AS text) AS key FROM job_runs
WHERE completed_at IS NULL AND lease_expires_at <= statement_timestamp()
  AND id <> ALL (CAST(:passed_over AS uuid[]))
ORDER BY lease_expires_at LIMIT CAST(:batch AS integer)
FOR NO KEY UPDATE SKIP LOCKED;
