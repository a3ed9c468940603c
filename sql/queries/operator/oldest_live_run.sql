-- The run that has been live the longest, who triggered it, and the number of live runs.
SELECT run.id, run.job_type, run.live, team.name AS team, project.name AS project,
       CAST(extract(epoch FROM clock_timestamp() - run.created_at) AS float8) AS age_s
FROM (SELECT id, job_type, team_id, project_id, created_at, count(*) OVER () AS live FROM job_runs
      WHERE completed_at IS NULL ORDER BY created_at, id LIMIT 1) AS run
LEFT JOIN teams team ON team.id = run.team_id
LEFT JOIN projects project ON project.id = run.project_id;
