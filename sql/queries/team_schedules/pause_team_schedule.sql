-- The caller has locked it.
UPDATE job_team_schedules
SET next_slot = NULL, paused_by = CAST(:by AS text), paused_why = CAST(:why AS text), paused_at = clock_timestamp()
WHERE id = CAST(:schedule_id AS uuid);
