-- Returns nothing if it is paused already, or if its one time has passed.
UPDATE job_team_schedules
SET next_slot = NULL, paused_by = CAST(:by AS text), paused_why = CAST(:why AS text), paused_at = clock_timestamp()
WHERE id = CAST(:schedule_id AS uuid) AND next_slot IS NOT NULL
RETURNING id;
