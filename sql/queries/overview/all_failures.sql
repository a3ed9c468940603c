-- The newest failed runs of all teams and of system jobs, to be grouped by their errors.
SELECT id, job_type, project_id, completed_at, left(error, 500) AS error
FROM job_runs WHERE status = 'failed' AND completed_at >= CAST(:since AS timestamptz)
ORDER BY completed_at DESC LIMIT CAST(:at_most AS integer);
