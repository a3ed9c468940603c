-- The partition that an earlier run recorded for a detach before it failed or was cancelled. A run that completed left
-- nothing unfinished, neither its own partition nor one of earlier runs.
SELECT last.cursor->'current' AS current
FROM (SELECT status, cursor FROM job_runs
      WHERE project_id IS NULL AND job_type = 'db_pruning' AND id <> CAST(:run_id AS uuid)
        AND (cursor IS NOT NULL OR status = 'completed')
      ORDER BY created_at DESC LIMIT 1) AS last
WHERE last.status <> 'completed' AND jsonb_typeof(last.cursor->'current') = 'object';
