-- Deletes some deliveries of these alerts, and an alert that has none left, with its secrets. The next sweep goes on.
-- The addresses of a team go with it.
WITH gone AS MATERIALIZED (
    SELECT id, team_id FROM job_alerts alert
    WHERE id = ANY (CAST(:keys AS uuid[]))
      AND (deleted_at IS NOT NULL OR NOT EXISTS (SELECT FROM teams WHERE teams.id = alert.team_id))
), emptied AS (
    DELETE FROM job_alert_deliveries WHERE id IN (
        SELECT delivery.id FROM gone, LATERAL (
            SELECT id FROM job_alert_deliveries WHERE alert_id = gone.id LIMIT 100) AS delivery)
), addresses AS (
    DELETE FROM job_alert_addresses address
    USING gone WHERE address.team_id = gone.team_id AND NOT EXISTS (SELECT FROM teams WHERE teams.id = gone.team_id)
)
DELETE FROM job_alerts alert
USING gone WHERE alert.id = gone.id AND NOT EXISTS (SELECT FROM job_alert_deliveries WHERE alert_id = gone.id)
RETURNING alert.id;
