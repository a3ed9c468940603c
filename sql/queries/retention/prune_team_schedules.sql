-- Retention has deleted their slots, or will.
DELETE FROM job_team_schedules WHERE id IN (
    SELECT id FROM job_team_schedules
    WHERE id = ANY (CAST(:keys AS uuid[])) AND next_slot IS NULL AND run_at IS NOT NULL
    FOR UPDATE SKIP LOCKED)
RETURNING id;
