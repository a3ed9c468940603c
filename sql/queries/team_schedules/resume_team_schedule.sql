-- Slots of the time in which it was paused are left out. The caller has locked it.
UPDATE job_team_schedules
SET next_slot = CAST(:next_slot AS timestamptz), skipped = 0, paused_by = NULL, paused_why = NULL, paused_at = NULL
WHERE id = CAST(:schedule_id AS uuid);
