SELECT id, job_type, status FROM job_runs WHERE id = ANY (CAST(:ids AS uuid[]));
