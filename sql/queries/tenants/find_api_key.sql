SELECT key.id, key.key_type, key.team_id, key.permissions, key.created_by, team.name AS team_name, team.slug AS team_slug,
       coalesce(key.expires_at <= clock_timestamp(), false) AS expired
FROM api_keys key JOIN teams team ON team.id = key.team_id
WHERE key.key_hash = CAST(:key_hash AS bytea) AND key.deleted_at IS NULL AND team.deleted_at IS NULL;
