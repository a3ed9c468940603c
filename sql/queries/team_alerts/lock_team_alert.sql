SELECT CAST(id AS text) AS id, name, events, job_types, CAST(project_ids AS text[]) AS project_ids, channel, config,
       minutes_between, overdue_hours, paused_at
FROM job_alerts
WHERE id = CAST(:alert_id AS uuid) AND team_id = CAST(:team_id AS uuid) AND deleted_at IS NULL
FOR NO KEY UPDATE;
