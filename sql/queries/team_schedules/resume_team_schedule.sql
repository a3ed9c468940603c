-- Returns nothing if it is not paused. Slots of the time in which it was paused are left out.
UPDATE job_team_schedules
SET next_slot = CAST(:next_slot AS timestamptz), skipped = 0, paused_by = NULL, paused_why = NULL, paused_at = NULL
WHERE id = CAST(:schedule_id AS uuid) AND paused_at IS NOT NULL
RETURNING id;
