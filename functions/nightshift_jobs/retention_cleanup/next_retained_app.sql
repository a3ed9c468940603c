-- The next live app, in the order of projects, with what its project says about retention. The columns are read as JSON,
-- because not every platform has them. Soft-deleted rows may be restored, so the job leaves them alone. OFFSET 0 keeps
-- the planner from joining all projects first: each app looks up its own.
SELECT CAST(app.id AS text) AS id, CAST(app.project_id AS text) AS project_id,
       project.retention_days_events, project.retention_days_metrics, project.retention_days_funnels
FROM apps app CROSS JOIN LATERAL (
    SELECT to_jsonb(project)->>'retention_days_events' AS retention_days_events,
           to_jsonb(project)->>'retention_days_metrics' AS retention_days_metrics,
           to_jsonb(project)->>'retention_days_funnels' AS retention_days_funnels
    FROM projects project JOIN teams team ON team.id = project.team_id
    WHERE project.id = app.project_id AND project.deleted_at IS NULL AND team.deleted_at IS NULL
    OFFSET 0
) AS project
WHERE app.deleted_at IS NULL
  AND (CAST(:project_id AS uuid) IS NULL
       OR (app.project_id, app.id) > (CAST(:project_id AS uuid), CAST(:app_id AS uuid)))
ORDER BY app.project_id, app.id LIMIT 1;
