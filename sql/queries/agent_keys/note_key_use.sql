-- At most once an hour for each key: of several requests at the same time, one writes.
INSERT INTO job_agent_keys AS noted (key_id, last_used_at) VALUES (CAST(:key_id AS uuid), clock_timestamp())
ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
WHERE noted.last_used_at IS NULL OR noted.last_used_at < excluded.last_used_at - interval '1 hour';
