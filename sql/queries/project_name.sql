-- Where a page of projects ended. A project that was deleted since still has its place.
SELECT name FROM projects WHERE id = CAST(:project_id AS uuid) AND team_id = ANY (CAST(:team_ids AS uuid[]));
