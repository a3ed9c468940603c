SELECT notice.id, notice.kind, run.team_id FROM job_outbox notice JOIN job_runs run ON run.id = notice.run_id
WHERE run_id = ANY (CAST(:run_ids AS uuid[])) AND send_at IS NOT NULL;
