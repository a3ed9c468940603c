-- A team's run, for all callers; system runs cannot be reached here. A live run belongs to the team that owns its
-- project now: otherwise a project that moved would be blocked by a run that its new team cannot see.
SELECT run.*, team.id AS team_id, clock_timestamp() AS now
FROM job_runs run
    LEFT JOIN projects home ON home.id = run.project_id AND run.completed_at IS NULL
    JOIN teams team ON team.id = coalesce(home.team_id, run.team_id)
WHERE run.id = CAST(:run_id AS uuid) AND team.deleted_at IS NULL;
