-- The beginning of an id is a range of the primary key, whose order this keeps: so few rows are read, whatever a team has.
SELECT id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
       completed_at, created_at
FROM job_runs
WHERE id BETWEEN CAST(:first AS uuid) AND CAST(:last AS uuid)
  AND (CAST(:team_id AS uuid) IS NULL OR team_id = CAST(:team_id AS uuid))
ORDER BY id LIMIT CAST(:limit AS integer);
