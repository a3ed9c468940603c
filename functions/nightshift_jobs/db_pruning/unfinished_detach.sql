-- The partition that an earlier run recorded for a detach before it failed or was cancelled. A run that completed left
-- nothing unfinished, neither its own partition nor one of earlier runs. The last run is one of the last runs of each
-- status, so a long history is not read (list_system_runs.sql).
SELECT last.cursor->'current' AS current
FROM (SELECT run.*
      FROM unnest(ARRAY['completed', 'failed', 'cancelled']) AS ended (status), LATERAL (
          SELECT status, cursor, created_at FROM job_runs
          WHERE project_id IS NULL AND job_type = 'db_pruning' AND status = ended.status AND completed_at IS NOT NULL
            AND id <> CAST(:run_id AS uuid) AND (cursor IS NOT NULL OR status = 'completed')
          ORDER BY project_id DESC, created_at DESC LIMIT 1) AS run
      ORDER BY created_at DESC LIMIT 1) AS last
WHERE last.status <> 'completed' AND jsonb_typeof(last.cursor->'current') = 'object';
