INSERT INTO job_outbox (recipient, content) VALUES (CAST(:recipient AS text), CAST(:content AS jsonb)) RETURNING id, kind;
