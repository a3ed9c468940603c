-- The beginning of an id is a range of the primary key, whose order this keeps: so few rows are read, whatever a team has.
-- A live run whose project has moved is not the old team's, as in list_runs.sql.
SELECT id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
       completed_at, created_at, waiting_for
FROM job_runs
WHERE id BETWEEN CAST(:first AS uuid) AND CAST(:last AS uuid)
  AND (CAST(:team_id AS uuid) IS NULL OR (
           team_id = CAST(:team_id AS uuid) AND (completed_at IS NOT NULL OR EXISTS (
               SELECT FROM projects home WHERE home.id = job_runs.project_id AND home.team_id = CAST(:team_id AS uuid)))))
ORDER BY id LIMIT CAST(:limit AS integer);
