-- Returns nothing if a test of the alert is on its way. The caller has locked the alert.
INSERT INTO job_alert_deliveries (id, alert_id, team_id, kind, about, data, status, send_at, expires_at)
SELECT CAST(:delivery_id AS uuid), alert.id, alert.team_id, 'test', CAST(:delivery_id AS text),
       jsonb_build_object('team', jsonb_build_object('id', alert.team_id, 'name', team.name)),
       'unsent', clock_timestamp(), clock_timestamp() + interval '1 hour'
FROM job_alerts alert JOIN teams team ON team.id = alert.team_id
WHERE alert.id = CAST(:alert_id AS uuid) AND NOT EXISTS (
    SELECT FROM job_alert_deliveries other
    WHERE other.alert_id = alert.id AND other.kind = 'test' AND other.status = 'unsent')
RETURNING id;
