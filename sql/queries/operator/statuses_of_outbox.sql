SELECT id, kind, status FROM job_outbox WHERE id = ANY (CAST(:ids AS uuid[]));
