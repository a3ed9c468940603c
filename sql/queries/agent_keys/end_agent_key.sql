-- days is the whole lifetime of the ended key, for the key that replaces it. Null: it had no end, or one after the year
-- 9999.
UPDATE api_keys SET deleted_at = clock_timestamp()
WHERE team_id = CAST(:team_id AS uuid) AND key_type = 'agent' AND deleted_at IS NULL
  AND key_prefix = CAST(:key_prefix AS text)
RETURNING id, key_prefix, name, permissions,
          CASE WHEN expires_at < '10000-01-01' AND isfinite(created_at)
               THEN greatest(1, CAST(round(extract(epoch FROM greatest(expires_at, created_at) - created_at) / 86400)
                                     AS integer))
               WHEN expires_at < '10000-01-01' THEN 1
          END AS days;
