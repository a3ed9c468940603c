-- Those of these projects that belong to one of the teams.
SELECT id, team_id, name, slug, color, created_at,
       to_jsonb(project)->>'retention_days_events' AS retention_days_events,
       to_jsonb(project)->>'retention_days_metrics' AS retention_days_metrics,
       to_jsonb(project)->>'retention_days_funnels' AS retention_days_funnels
FROM projects project
WHERE id = ANY (CAST(:project_ids AS uuid[])) AND team_id = ANY (CAST(:team_ids AS uuid[])) AND deleted_at IS NULL
ORDER BY left(name, 200), id;
