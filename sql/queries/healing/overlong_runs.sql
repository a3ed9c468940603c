-- Live runs that no worker holds and whose time is over.
SELECT CAST(id AS text) AS key FROM job_runs
WHERE completed_at IS NULL AND lease_expires_at IS NULL AND ends_by <= statement_timestamp()
  AND id <> ALL (CAST(:passed_over AS uuid[]))
ORDER BY ends_by LIMIT CAST(:batch AS integer)
FOR NO KEY UPDATE SKIP LOCKED;
