SELECT id, recipient, status, attempts, error, created_at, ended_at
FROM job_outbox WHERE run_id = CAST(:run_id AS uuid) AND kind = 'mail' ORDER BY created_at, id;
