-- The retention columns are read as JSON, because not every platform has them.
SELECT id, team_id, name, slug, color, created_at,
       to_jsonb(project)->>'retention_days_events' AS retention_days_events,
       to_jsonb(project)->>'retention_days_metrics' AS retention_days_metrics,
       to_jsonb(project)->>'retention_days_funnels' AS retention_days_funnels
FROM projects project
WHERE team_id = ANY (CAST(:team_ids AS uuid[])) AND deleted_at IS NULL
  AND (CAST(:q AS text) IS NULL OR strpos(lower(name), lower(CAST(:q AS text))) > 0
                                OR strpos(lower(slug), lower(CAST(:q AS text))) > 0)
  AND (CAST(:after_id AS uuid) IS NULL OR (name, id) > (CAST(:after_name AS text), CAST(:after_id AS uuid)))
ORDER BY name, id
LIMIT CAST(:limit AS integer);
