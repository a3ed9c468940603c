-- Takes no locks beforehand: slots are never updated, and of two concurrent sweeps the second finds its rows gone.
DELETE FROM job_team_slots
USING unnest(CAST(:keys AS text[])) AS old (key)
WHERE schedule_id = CAST(split_part(key, ' ', 1) AS uuid)
  AND slot = to_timestamp(CAST(split_part(key, ' ', 2) AS float8))
RETURNING slot;
