-- Live runs whose project now belongs to another team.
SELECT CAST(run.id AS text) AS key FROM job_runs run JOIN projects project ON project.id = run.project_id
WHERE run.completed_at IS NULL AND project.team_id <> run.team_id
  AND run.id <> ALL (CAST(:passed_over AS uuid[]))
ORDER BY run.created_at LIMIT CAST(:batch AS integer)
FOR NO KEY UPDATE OF run SKIP LOCKED;
