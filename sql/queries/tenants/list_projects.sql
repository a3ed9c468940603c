-- One range of an index for each team, so a page reads as many projects as it shows, at any depth. Names can be longer
-- than an index takes, so their beginnings decide the order. A search reads the teams' projects up to its last match.
-- The retention columns are read as JSON, because not every platform has them.
SELECT project.id, project.team_id, project.name, project.slug, project.color, project.created_at,
       to_jsonb(project)->>'retention_days_events' AS retention_days_events,
       to_jsonb(project)->>'retention_days_metrics' AS retention_days_metrics,
       to_jsonb(project)->>'retention_days_funnels' AS retention_days_funnels
FROM unnest(CAST(:team_ids AS uuid[])) AS team (id) CROSS JOIN LATERAL (
    SELECT * FROM projects
    WHERE team_id = team.id AND deleted_at IS NULL
      AND (CAST(:q AS text) IS NULL OR strpos(lower(name), lower(CAST(:q AS text))) > 0
                                    OR strpos(lower(slug), lower(CAST(:q AS text))) > 0)
      AND (CAST(:after_id AS uuid) IS NULL
           OR (left(name, 200), projects.id) > (left(CAST(:after_name AS text), 200), CAST(:after_id AS uuid)))
    ORDER BY left(name, 200), projects.id
    LIMIT CAST(:limit AS integer)
) AS project
ORDER BY left(project.name, 200), project.id
LIMIT CAST(:limit AS integer);
