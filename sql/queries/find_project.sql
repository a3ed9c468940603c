SELECT project.id FROM projects project JOIN teams team ON team.id = project.team_id
WHERE team.slug = CAST(:team_slug AS text) AND team.deleted_at IS NULL
  AND project.slug = CAST(:project_slug AS text) AND project.deleted_at IS NULL;
