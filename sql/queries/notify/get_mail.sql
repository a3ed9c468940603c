SELECT id, recipient, status, attempts, error, created_at, ended_at
FROM job_outbox WHERE id = CAST(:id AS uuid) AND kind = 'mail';
