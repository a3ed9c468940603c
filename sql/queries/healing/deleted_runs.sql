-- Live runs whose project, or the team that owns it now, was soft-deleted, and for which no cancel was requested.
SELECT CAST(run.id AS text) AS key
FROM job_runs run JOIN projects project ON project.id = run.project_id JOIN teams team ON team.id = project.team_id
WHERE run.status IN ('pending', 'running') AND run.cancel_requested_at IS NULL
  AND (project.deleted_at IS NOT NULL OR team.deleted_at IS NOT NULL)
  AND run.id <> ALL (CAST(:passed_over AS uuid[]))
ORDER BY run.created_at LIMIT CAST(:batch AS integer)
FOR NO KEY UPDATE OF run SKIP LOCKED;
