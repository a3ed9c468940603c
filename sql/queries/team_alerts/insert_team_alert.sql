-- Returns nothing if the team has as many alerts as it may have. The caller has locked the team's alerts.
INSERT INTO job_alerts (id, team_id, name, events, job_types, project_ids, channel, config, secret_encrypted,
                        minutes_between, overdue_hours, created_by, overdue_look_at)
SELECT CAST(:alert_id AS uuid), CAST(:team_id AS uuid), CAST(:name AS text), CAST(:events AS text[]),
       CAST(:job_types AS text[]), CAST(:project_ids AS uuid[]), CAST(:channel AS text), CAST(:config AS jsonb),
       CAST(:secret_encrypted AS bytea), CAST(:minutes_between AS integer), CAST(:overdue_hours AS integer),
       CAST(:created_by AS text), CASE WHEN CAST(:overdue_hours AS integer) IS NOT NULL THEN clock_timestamp() END
WHERE CAST(:at_most AS integer) > (
    SELECT count(*) FROM job_alerts WHERE team_id = CAST(:team_id AS uuid) AND deleted_at IS NULL)
RETURNING id;
