INSERT INTO job_outbox (content) VALUES (CAST(:content AS jsonb)) RETURNING id;
