-- These runs, newest first. The caller has found them in its team.
SELECT * FROM job_runs_public WHERE id = ANY (CAST(:run_ids AS uuid[])) ORDER BY created_at DESC, id DESC;
