-- Every team's: the live ones, newest first, then those that ended last. So both halves are in the order of an index
-- that is there for other reasons, and a million old runs cost nothing.
WITH live AS (
    SELECT *, 0 AS half, created_at AS moment FROM job_runs
    WHERE status IN ('pending', 'running')
      AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
      AND (CAST(:status AS text) IS NULL OR status = CAST(:status AS text))
    ORDER BY created_at DESC LIMIT CAST(:limit AS integer)
), ended AS (
    SELECT *, 1 AS half, completed_at AS moment FROM job_runs
    WHERE completed_at IS NOT NULL
      AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
      AND (CAST(:status AS text) IS NULL OR status = CAST(:status AS text))
    ORDER BY completed_at DESC LIMIT CAST(:limit AS integer)
)
SELECT id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
       completed_at, created_at, waiting_for
FROM (SELECT * FROM live UNION ALL SELECT * FROM ended) AS run
ORDER BY half, moment DESC
LIMIT CAST(:limit AS integer);
