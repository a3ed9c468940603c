SELECT job_type, CAST(project_id AS text) AS project_id, name, cron, run_at, zone, params, notify, next_slot, paused_at
FROM job_team_schedules WHERE id = CAST(:schedule_id AS uuid) FOR NO KEY UPDATE;
