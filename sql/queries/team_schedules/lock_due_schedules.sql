-- Locks those of these schedules that are due. Those that another session has locked are left to it.
SELECT id, job_type, cron, zone, params, next_slot, CAST(project_id AS text) AS project_id
FROM job_team_schedules
WHERE id = ANY (CAST(:keys AS uuid[])) AND next_slot <= CAST(:now AS timestamptz)
ORDER BY next_slot
FOR NO KEY UPDATE SKIP LOCKED;
