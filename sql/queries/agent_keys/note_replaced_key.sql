-- The caller chose the end of the old key, so the team gets no mail about it.
INSERT INTO job_agent_keys AS noted (key_id, replaced_by, told_of)
SELECT id, CAST(:replaced_by AS uuid), expires_at FROM api_keys WHERE id = CAST(:key_id AS uuid)
ON CONFLICT (key_id) DO UPDATE SET replaced_by = excluded.replaced_by, told_of = excluded.told_of;
