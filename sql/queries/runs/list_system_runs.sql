-- Merged like job_runs_newest, but ordered by project_id first, which is null in all of them: IS NULL alone does not let
-- the planner skip the first column of an index.
SELECT id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
       completed_at, created_at, waiting_for
FROM (
    (SELECT * FROM job_runs_public WHERE completed_at IS NULL
     ORDER BY project_id DESC, created_at DESC, id DESC)
    UNION ALL
    (SELECT * FROM job_runs_public WHERE completed_at IS NOT NULL AND status = 'completed'
     ORDER BY project_id DESC, created_at DESC, id DESC)
    UNION ALL
    (SELECT * FROM job_runs_public WHERE completed_at IS NOT NULL AND status = 'failed'
     ORDER BY project_id DESC, created_at DESC, id DESC)
    UNION ALL
    (SELECT * FROM job_runs_public WHERE completed_at IS NOT NULL AND status = 'cancelled'
     ORDER BY project_id DESC, created_at DESC, id DESC)
) AS run
WHERE project_id IS NULL
  AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
  AND (CAST(:status AS text) IS NULL OR status = CAST(:status AS text))
ORDER BY project_id DESC, created_at DESC, id DESC
LIMIT CAST(:limit AS integer);
