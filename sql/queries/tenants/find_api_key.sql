-- use_is_old: its last use was not noted within the last hour.
SELECT key.id, key.key_type, key.team_id, key.permissions, key.created_by, team.name AS team_name, team.slug AS team_slug,
       coalesce(key.expires_at <= clock_timestamp(), false) AS expired,
       coalesce(noted.last_used_at < clock_timestamp() - interval '1 hour', true) AS use_is_old
FROM api_keys key JOIN teams team ON team.id = key.team_id
LEFT JOIN job_agent_keys noted ON noted.key_id = key.id
WHERE key.key_hash = CAST(:key_hash AS bytea) AND key.deleted_at IS NULL AND team.deleted_at IS NULL;
