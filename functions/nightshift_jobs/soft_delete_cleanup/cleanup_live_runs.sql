-- A project that moved here from another team left its runs there. They are ended with the project itself.
SELECT CAST(id AS text) AS id
FROM job_runs
WHERE completed_at IS NULL
  AND (team_id = CAST(:team_id AS uuid) OR project_id = CAST(:project_id AS uuid))
ORDER BY id LIMIT CAST(:page AS integer);
