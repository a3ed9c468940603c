-- A prefix of an id is a range of the primary key, and the result is in the order of that key: few rows are read,
-- however many runs a team has. A live run belongs to the team that owns its project now (get_run.sql).
SELECT run.id, run.job_type, run.status, coalesce(home.team_id, run.team_id) AS team_id, run.project_id,
       run.triggered_by, run.params, run.progress, run.result, run.error, run.notify, run.started_at, run.completed_at,
       run.created_at, run.waiting_for
FROM job_runs run LEFT JOIN projects home ON home.id = run.project_id AND run.completed_at IS NULL
WHERE run.id BETWEEN CAST(:first AS uuid) AND CAST(:last AS uuid)
  AND (CAST(:team_id AS uuid) IS NULL OR coalesce(home.team_id, run.team_id) = CAST(:team_id AS uuid))
ORDER BY run.id LIMIT CAST(:limit AS integer);
