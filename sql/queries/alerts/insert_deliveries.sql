-- Writes what the alerts have to tell of these ended runs. Safe to repeat: an alert tells of a run once.
-- ended_runs.sql finds them; this statement checks each condition again, with the status of the run before.
WITH ended AS MATERIALIZED (
    SELECT run.id, run.team_id, run.project_id, run.job_type, run.status, run.error, run.started_at, run.completed_at, (
        SELECT before.status
        FROM (VALUES ('completed'), ('failed')) AS known (status), LATERAL (
            SELECT earlier.status, earlier.created_at FROM job_runs earlier
            WHERE earlier.project_id = run.project_id AND earlier.job_type = run.job_type
              AND earlier.status = known.status AND earlier.completed_at IS NOT NULL
              AND earlier.created_at < run.created_at
            ORDER BY earlier.created_at DESC LIMIT 1
        ) AS before
        ORDER BY before.created_at DESC LIMIT 1) AS status_before
    FROM job_runs run
    WHERE run.id = ANY (CAST(:keys AS uuid[])) AND run.completed_at IS NOT NULL AND run.project_id IS NOT NULL
), told AS (
    SELECT alert.id AS alert_id, alert.minutes_between > 0 OR alert.channel = 'mail' AS is_held, ended.*,
           CASE WHEN ended.status = 'completed' AND ended.status_before = 'failed' AND 'recovered' = ANY (alert.events)
                THEN 'recovered' ELSE ended.status END AS kind
    FROM ended JOIN job_alerts alert ON alert.team_id = ended.team_id
    WHERE alert.paused_at IS NULL AND alert.deleted_at IS NULL AND alert.active_since <= ended.completed_at
      AND (alert.job_types IS NULL OR ended.job_type = ANY (alert.job_types))
      AND (alert.project_ids IS NULL OR ended.project_id = ANY (alert.project_ids))
      AND ('ended' = ANY (alert.events)
           OR (ended.status = 'failed' AND 'failed' = ANY (alert.events))
           OR (ended.status = 'failed' AND 'first_failure' = ANY (alert.events)
               AND ended.status_before IS DISTINCT FROM 'failed')
           OR (ended.status = 'completed' AND 'recovered' = ANY (alert.events) AND ended.status_before = 'failed'))
)
INSERT INTO job_alert_deliveries (alert_id, team_id, kind, about, run_id, data, status, send_at, expires_at)
SELECT told.alert_id, told.team_id, told.kind, CAST(told.id AS text), told.id,
       jsonb_build_object(
           'run_id', told.id, 'job_type', told.job_type, 'status', told.status, 'error', left(told.error, 1000),
           'team', jsonb_build_object('id', told.team_id, 'name', team.name),
           'project', jsonb_build_object('id', told.project_id, 'name', project.name),
           'started_at', told.started_at, 'completed_at', told.completed_at),
       CASE WHEN told.is_held THEN 'held' ELSE 'unsent' END,
       CASE WHEN NOT told.is_held THEN CAST(:now AS timestamptz) END,
       CAST(:now AS timestamptz) + interval '1 day'
FROM told
JOIN teams team ON team.id = told.team_id AND team.deleted_at IS NULL
JOIN projects project ON project.id = told.project_id AND project.deleted_at IS NULL
ORDER BY told.completed_at, told.id
ON CONFLICT (alert_id, about) DO NOTHING
RETURNING CAST(alert_id AS text) AS alert_id;
