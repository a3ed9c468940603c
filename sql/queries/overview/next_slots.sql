-- The schedules of a team that will start a run.
SELECT schedule.id, schedule.project_id, schedule.job_type, schedule.cron, schedule.zone, schedule.next_slot
FROM job_team_schedules schedule
JOIN projects project ON project.id = schedule.project_id AND project.deleted_at IS NULL
WHERE project.team_id = CAST(:team_id AS uuid) AND schedule.next_slot IS NOT NULL
ORDER BY schedule.next_slot, schedule.id LIMIT CAST(:at_most AS integer);
