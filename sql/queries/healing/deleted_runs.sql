-- Live runs whose project, or the team that owns it now, was deleted or soft-deleted, and for which no cancel was
-- requested.
SELECT CAST(run.id AS text) AS key
FROM job_runs run
    LEFT JOIN projects project ON project.id = run.project_id AND project.deleted_at IS NULL
    LEFT JOIN teams team ON team.id = project.team_id AND team.deleted_at IS NULL
WHERE run.completed_at IS NULL AND run.cancel_requested_at IS NULL AND run.project_id IS NOT NULL AND team.id IS NULL
  AND run.id <> ALL (CAST(:passed_over AS uuid[]))
ORDER BY run.created_at LIMIT CAST(:batch AS integer)
FOR NO KEY UPDATE OF run SKIP LOCKED;
