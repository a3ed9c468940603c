-- The retention columns are read as JSON, because not every platform has them.
SELECT project.id, project.team_id, project.name, project.slug, project.color, project.created_at,
       to_jsonb(project)->>'retention_days_events' AS retention_days_events,
       to_jsonb(project)->>'retention_days_metrics' AS retention_days_metrics,
       to_jsonb(project)->>'retention_days_funnels' AS retention_days_funnels
FROM projects project JOIN teams team ON team.id = project.team_id
WHERE project.id = CAST(:project_id AS uuid) AND project.deleted_at IS NULL AND team.deleted_at IS NULL;
