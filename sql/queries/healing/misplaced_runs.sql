-- The live runs whose project was moved or deleted, the oldest first, from one look at each live run. Locks none
-- (due_runs.sql).
SELECT healer, key
FROM (
    SELECT due.healer, CAST(run.id AS text) AS key,
           row_number() OVER (PARTITION BY due.healer ORDER BY run.created_at) AS place
    FROM job_runs run
        LEFT JOIN projects project ON project.id = run.project_id
        LEFT JOIN teams team ON team.id = project.team_id AND team.deleted_at IS NULL,
        LATERAL (VALUES
            -- Its project now belongs to another team.
            ('moved', project.team_id <> run.team_id),
            -- Its project, or the team that owns it now, was deleted or soft-deleted, and no cancel was requested.
            ('deleted', run.cancel_requested_at IS NULL AND (project.deleted_at IS NOT NULL OR team.id IS NULL))
        ) AS due (healer, is_so)
    WHERE run.completed_at IS NULL AND run.project_id IS NOT NULL AND due.is_so
) AS found
WHERE place <= CAST(:at_most AS integer)
ORDER BY healer, place;
