-- days is the whole time it was made for, for one in its place.
UPDATE api_keys SET deleted_at = clock_timestamp()
WHERE team_id = CAST(:team_id AS uuid) AND key_type = 'agent' AND deleted_at IS NULL
  AND key_prefix = CAST(:key_prefix AS text)
RETURNING name, permissions,
          CASE WHEN isfinite(expires_at)
               THEN greatest(1, CAST(round(extract(epoch FROM expires_at - created_at) / 86400) AS integer)) END AS days;
