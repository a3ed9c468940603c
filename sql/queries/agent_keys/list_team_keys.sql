-- The agent keys of a team that are not ended, the newest first, or one of them. A key that has expired is listed until
-- it is ended. maker_has_left: the person or the key that made it no longer belongs to the team.
SELECT key.id, key.name, key.key_prefix, key.permissions, maker.made_by, key.created_at, noted.last_used_at,
       CASE WHEN isfinite(key.expires_at) THEN key.expires_at END AS expires_at,
       coalesce(key.expires_at <= clock_timestamp(), false) AS expired, noted.replaced_by,
       maker.made_by IS NOT NULL AND maker.made_by NOT LIKE 'operator:%' AND NOT EXISTS (
           SELECT FROM team_members member JOIN users person ON person.id = member.user_id
           WHERE maker.made_by LIKE 'user:%' AND member.team_id = key.team_id
             AND person.id = CAST(split_part(maker.made_by, ':', 2) AS uuid) AND person.deleted_at IS NULL
           UNION ALL
           SELECT FROM api_keys other
           WHERE maker.made_by LIKE 'api_key:%' AND other.team_id = key.team_id
             AND other.id = CAST(split_part(maker.made_by, ':', 2) AS uuid) AND other.deleted_at IS NULL
       ) AS maker_has_left
FROM api_keys key
LEFT JOIN job_agent_keys noted ON noted.key_id = key.id
CROSS JOIN LATERAL (SELECT coalesce(noted.made_by, 'user:' || key.created_by) AS made_by) AS maker
WHERE key.team_id = CAST(:team_id AS uuid) AND key.key_type = 'agent' AND key.deleted_at IS NULL
  AND (CAST(:key_id AS uuid) IS NULL OR key.id = CAST(:key_id AS uuid))
ORDER BY key.created_at DESC, key.id LIMIT CAST(:limit AS integer);
