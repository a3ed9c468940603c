-- Newest first. Ordered by project_id, which is null in all of them, so that the indexes that begin with it provide the
-- order: IS NULL alone does not let the planner skip a column.
SELECT id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
       completed_at, created_at, waiting_for
FROM job_runs
WHERE project_id IS NULL
  AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
  AND (CAST(:status AS text) IS NULL OR status = CAST(:status AS text))
ORDER BY project_id, created_at DESC, id DESC
LIMIT CAST(:limit AS integer);
