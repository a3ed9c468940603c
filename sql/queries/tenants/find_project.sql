SELECT project.id, project.team_id FROM projects project JOIN teams team ON team.id = project.team_id
WHERE lower(team.slug) = lower(CAST(:team_slug AS text)) AND team.deleted_at IS NULL
  AND lower(project.slug) = lower(CAST(:project_slug AS text)) AND project.deleted_at IS NULL
ORDER BY team.slug = CAST(:team_slug AS text) DESC, project.slug = CAST(:project_slug AS text) DESC LIMIT 1;
