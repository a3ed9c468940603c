INSERT INTO projects (id, team_id, name, slug)
VALUES (CAST(:id AS uuid), CAST(:team_id AS uuid), CAST(:name AS text), CAST(:slug AS text));
