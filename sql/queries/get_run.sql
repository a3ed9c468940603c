-- A team's run, whoever asks; system runs are not reached from here.
SELECT run.id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
       completed_at, run.created_at, cursor, cursor_version, lease_expires_at, due_at, last_step_at,
       cancel_requested_at, cancel_requested_by, lost_slices, waiting_for, rerun_of, clock_timestamp() AS now
FROM job_runs run JOIN teams team ON team.id = run.team_id
WHERE run.id = CAST(:run_id AS uuid) AND team.deleted_at IS NULL;
