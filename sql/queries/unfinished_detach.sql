-- What an earlier run recorded, to detach it, when it failed or was cancelled. One that completed left nothing behind
-- and had dealt with what runs before it left.
SELECT last.cursor->'current' AS current
FROM (SELECT status, cursor FROM job_runs
      WHERE project_id IS NULL AND job_type = 'db_pruning' AND id <> CAST(:run_id AS uuid)
        AND (cursor IS NOT NULL OR status = 'completed')
      ORDER BY created_at DESC LIMIT 1) AS last
WHERE last.status <> 'completed' AND jsonb_typeof(last.cursor->'current') = 'object';
