SELECT key.key_prefix, key.name, key.permissions, person.email AS acts_for, key.created_at,
       CASE WHEN isfinite(key.expires_at) THEN key.expires_at END AS expires_at
FROM api_keys key
LEFT JOIN users person ON person.id = key.created_by
WHERE key.team_id = CAST(:team_id AS uuid) AND key.key_type = 'agent' AND key.deleted_at IS NULL
  AND (key.expires_at IS NULL OR key.expires_at > clock_timestamp())
  AND (CAST(:q AS text) IS NULL OR strpos(key.key_prefix, CAST(:q AS text)) > 0
                                OR strpos(lower(key.name), lower(CAST(:q AS text))) > 0)
ORDER BY key.created_at, key.id LIMIT CAST(:limit AS integer);
