-- What an earlier run had begun to detach when it failed or was cancelled. Only what it saw detaching, or somebody who
-- detached that partition by hand, to keep it, would lose it.
SELECT last.cursor->'current' AS current
FROM (SELECT cursor FROM job_runs
      WHERE project_id IS NULL AND job_type = 'db_pruning' AND id <> CAST(:run_id AS uuid) AND cursor IS NOT NULL
      ORDER BY created_at DESC LIMIT 1) AS last
WHERE CAST(last.cursor->'current'->>'is_marked' AS boolean);
