SELECT id FROM job_outbox WHERE run_id = ANY (CAST(:run_ids AS uuid[])) AND send_at IS NOT NULL;
