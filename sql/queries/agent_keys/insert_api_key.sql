-- A key whose life is a week or shorter has no mail about its expiry: its maker has just chosen it.
-- until is the expiry of the key that makes this one: a key does not outlive its maker. Null: no such bound.
WITH made AS (
    INSERT INTO api_keys (team_id, created_by, key_type, name, key_hash, key_prefix, permissions, expires_at)
    VALUES (CAST(:team_id AS uuid), CAST(:created_by AS uuid), 'agent', CAST(:name AS text), CAST(:key_hash AS bytea),
            CAST(:key_prefix AS text), CAST(:permissions AS text[]),
            least(clock_timestamp() + make_interval(days => CAST(:days AS integer)), CAST(:until AS timestamptz)))
    RETURNING id, expires_at
), noted AS (
    INSERT INTO job_agent_keys (key_id, made_by, told_of)
    SELECT id, CAST(:made_by AS text),
           CASE WHEN expires_at <= clock_timestamp() + interval '7 days 1 hour' THEN expires_at END
    FROM made
)
SELECT CAST(id AS text) AS id, expires_at FROM made;
