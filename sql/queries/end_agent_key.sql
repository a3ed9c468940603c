-- days is the whole time it was made for, for one in its place: null where it had no end that a calendar has.
UPDATE api_keys SET deleted_at = clock_timestamp()
WHERE team_id = CAST(:team_id AS uuid) AND key_type = 'agent' AND deleted_at IS NULL
  AND key_prefix = CAST(:key_prefix AS text)
RETURNING name, permissions,
          CASE WHEN expires_at < '10000-01-01' AND isfinite(created_at)
               THEN greatest(1, CAST(round(extract(epoch FROM greatest(expires_at, created_at) - created_at) / 86400)
                                     AS integer))
               WHEN expires_at < '10000-01-01' THEN 1
          END AS days;
