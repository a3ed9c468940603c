SELECT DISTINCT recipient FROM job_outbox
WHERE run_id = CAST(:run_id AS uuid) AND kind = 'mail' AND recipient IS NOT NULL;
