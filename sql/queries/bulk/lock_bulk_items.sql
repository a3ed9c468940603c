-- Those of these items that are still to be done, each with the run that it names, if that still exists. Another session's
-- are skipped.
SELECT item.id, action.action, action.from_cursor, item.job_type, CAST(item.project_id AS text) AS project_id,
       coalesce((SELECT params FROM job_runs run WHERE run.id = item.run_id), '{}') AS params
FROM job_bulk_items item JOIN job_bulk_actions action ON action.id = item.action_id
WHERE item.id = ANY (CAST(:keys AS uuid[])) AND item.outcome IS NULL
  AND action.confirmed_at IS NOT NULL AND action.ended_at IS NULL
ORDER BY item.run_id
FOR UPDATE OF item SKIP LOCKED;
