INSERT INTO api_keys (team_id, created_by, key_type, name, key_hash, key_prefix, permissions, expires_at)
VALUES (CAST(:team_id AS uuid), CAST(:created_by AS uuid), 'agent', CAST(:name AS text), CAST(:key_hash AS bytea),
        CAST(:key_prefix AS text), CAST(:permissions AS text[]),
        clock_timestamp() + make_interval(days => CAST(:days AS integer)))
RETURNING id;
