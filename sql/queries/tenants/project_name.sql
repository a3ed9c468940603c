-- The project at the end of a page. A project that was deleted since still has its place.
SELECT name FROM projects WHERE id = CAST(:project_id AS uuid) AND team_id = ANY (CAST(:team_ids AS uuid[]));
