-- Those that were deleted, too: their runs are still there.
SELECT id, name FROM api_keys WHERE team_id = CAST(:team_id AS uuid) ORDER BY name, id;
