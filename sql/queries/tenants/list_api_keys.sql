-- Includes deleted keys, because their runs still exist.
SELECT id, name FROM api_keys
WHERE team_id = CAST(:team_id AS uuid)
  AND (CAST(:q AS text) IS NULL OR CAST(id AS text) = lower(CAST(:q AS text))
       OR strpos(lower(name), lower(CAST(:q AS text))) > 0)
ORDER BY name, id
LIMIT CAST(:limit AS integer);
