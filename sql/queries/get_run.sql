-- A team's run, whoever asks; system runs are not reached from here.
SELECT run.*, clock_timestamp() AS now FROM job_runs run JOIN teams team ON team.id = run.team_id
WHERE run.id = CAST(:run_id AS uuid) AND team.deleted_at IS NULL;
