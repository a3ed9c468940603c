-- The names of a run's team and project; null for a system run.
SELECT team.name AS team, project.name AS project
FROM job_runs run LEFT JOIN teams team ON team.id = run.team_id LEFT JOIN projects project ON project.id = run.project_id
WHERE run.id = CAST(:run_id AS uuid);
