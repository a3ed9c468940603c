-- The live run without a worker that was due first, and the number of such runs.
SELECT *, clock_timestamp() AS now, count(*) OVER () AS waiting
FROM job_runs
WHERE completed_at IS NULL AND lease_expires_at IS NULL
ORDER BY due_at, id LIMIT 1;
