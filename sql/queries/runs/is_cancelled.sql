SELECT cancel_requested_at IS NOT NULL OR status NOT IN ('pending', 'running')
       OR slice <> CAST(:slice AS integer) AS cancelled
FROM job_runs WHERE id = CAST(:run_id AS uuid);
