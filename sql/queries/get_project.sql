SELECT project.id, project.team_id, project.name, project.slug, project.color, project.created_at
FROM projects project JOIN teams team ON team.id = project.team_id
WHERE project.id = CAST(:project_id AS uuid) AND project.deleted_at IS NULL AND team.deleted_at IS NULL;
