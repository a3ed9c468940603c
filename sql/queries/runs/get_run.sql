-- A team's run, for all callers; system runs cannot be reached here. A live run belongs to the team that owns its
-- project now: otherwise a project that moved would be blocked by a run that its new team cannot see.
SELECT run.id, run.job_type, run.status, team.id AS team_id, run.project_id, run.triggered_by, run.params, run.progress,
       run.result, run.error, run.notify, run.started_at, run.completed_at, run.created_at, run.cursor,
       run.cursor_version, run.lease_expires_at, run.due_at, run.last_step_at, run.cancel_requested_at,
       run.cancel_requested_by, run.lost_slices, run.waiting_for, run.rerun_of, clock_timestamp() AS now
FROM job_runs run
    LEFT JOIN projects home ON home.id = run.project_id AND run.completed_at IS NULL
    JOIN teams team ON team.id = coalesce(home.team_id, run.team_id)
WHERE run.id = CAST(:run_id AS uuid) AND team.deleted_at IS NULL;
