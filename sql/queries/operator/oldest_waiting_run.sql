-- The live run without a worker that was due first, and the number of such runs.
SELECT id, job_type, status, completed_at, started_at, created_at, lease_expires_at, due_at, last_step_at,
       cancel_requested_at, lost_slices, waiting_for, clock_timestamp() AS now, count(*) OVER () AS waiting
FROM job_runs
WHERE completed_at IS NULL AND lease_expires_at IS NULL
ORDER BY due_at, id LIMIT 1;
