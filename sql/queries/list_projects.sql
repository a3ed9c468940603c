SELECT id, team_id, name, slug, color, created_at FROM projects
WHERE team_id = ANY (CAST(:team_ids AS uuid[])) AND deleted_at IS NULL
ORDER BY name, id;
