-- The newest failed runs of a team since a day, to be grouped by their errors.
SELECT run.id, run.job_type, run.project_id, run.completed_at, left(run.error, 500) AS error
FROM job_runs run JOIN projects home ON home.id = run.project_id AND home.team_id = run.team_id
WHERE run.team_id = CAST(:team_id AS uuid) AND run.status = 'failed' AND run.completed_at IS NOT NULL
  AND run.created_at >= CAST(:since AS timestamptz) AND home.deleted_at IS NULL
  AND (CAST(:project_id AS uuid) IS NULL OR run.project_id = CAST(:project_id AS uuid))
  AND (CAST(:job_type AS text) IS NULL OR run.job_type = CAST(:job_type AS text))
ORDER BY run.created_at DESC, run.id DESC LIMIT CAST(:at_most AS integer);
