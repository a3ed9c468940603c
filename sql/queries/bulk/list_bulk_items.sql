-- A page of an action's items, in the order of their ids.
SELECT id, run_id, project_id, job_type, run_created_at, outcome, reason, new_run_id
FROM job_bulk_items
WHERE action_id = CAST(:action_id AS uuid)
  AND (CAST(:after_run_id AS uuid) IS NULL OR run_id > CAST(:after_run_id AS uuid))
ORDER BY run_id LIMIT CAST(:limit AS integer);
