-- A prefix of an id is a range of the primary key, and the result is in the order of that key: few rows are read,
-- however many runs a team has. A live run belongs to the team that owns its project now (get_run.sql).
SELECT run.*, coalesce(home.team_id, run.team_id) AS team_id
FROM job_runs_public run LEFT JOIN projects home ON home.id = run.project_id AND run.completed_at IS NULL
WHERE run.id BETWEEN CAST(:first AS uuid) AND CAST(:last AS uuid)
  AND (CAST(:team_id AS uuid) IS NULL OR coalesce(home.team_id, run.team_id) = CAST(:team_id AS uuid))
ORDER BY run.id LIMIT CAST(:limit AS integer);
