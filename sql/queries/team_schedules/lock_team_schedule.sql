SELECT schedule.job_type, CAST(project.team_id AS text) AS team_id, CAST(schedule.project_id AS text) AS project_id,
       schedule.name, schedule.cron, schedule.run_at, schedule.zone, schedule.params, schedule.notify,
       schedule.next_slot, schedule.paused_at
FROM job_team_schedules schedule JOIN projects project ON project.id = schedule.project_id
WHERE schedule.id = CAST(:schedule_id AS uuid) FOR NO KEY UPDATE OF schedule;
