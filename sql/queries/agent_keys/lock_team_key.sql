-- A key of the team, also one that has ended. days is its whole lifetime, for the key that replaces it. Null: it has no
-- end, or one after the year 9999.
SELECT CAST(key.id AS text) AS id, key.name, key.key_prefix, key.permissions, CAST(key.created_by AS text) AS created_by,
       key.expires_at, key.deleted_at IS NOT NULL AS ended,
       coalesce(key.expires_at <= clock_timestamp(), false) AS expired, CAST(noted.replaced_by AS text) AS replaced_by,
       CASE WHEN key.expires_at < '10000-01-01' AND isfinite(key.created_at)
            THEN greatest(1, CAST(round(extract(epoch FROM greatest(key.expires_at, key.created_at) - key.created_at)
                                        / 86400) AS integer))
            WHEN key.expires_at < '10000-01-01' THEN 1
       END AS days
FROM api_keys key LEFT JOIN job_agent_keys noted ON noted.key_id = key.id
WHERE key.id = CAST(:key_id AS uuid) AND key.team_id = CAST(:team_id AS uuid) AND key.key_type = 'agent'
FOR NO KEY UPDATE OF key;
