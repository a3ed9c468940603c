-- A project may have moved to another team since; its runs have not.
SELECT CAST(id AS text) AS id
FROM job_runs
WHERE status IN ('pending', 'running')
  AND (team_id = CAST(:team_id AS uuid) OR project_id = CAST(:project_id AS uuid)
       OR project_id IN (SELECT id FROM projects WHERE team_id = CAST(:team_id AS uuid)))
ORDER BY id LIMIT CAST(:page AS integer);
