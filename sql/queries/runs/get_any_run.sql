-- Any run, including system runs: for the operator, and for callers whose access was already checked.
SELECT id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
       completed_at, created_at, slice, cursor, cursor_version, lease_expires_at, due_at, last_step_at,
       cancel_requested_at, cancel_requested_by, lost_slices, waiting_for, rerun_of, clock_timestamp() AS now
FROM job_runs WHERE id = CAST(:run_id AS uuid);
