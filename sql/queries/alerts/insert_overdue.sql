-- Writes what these alerts have to tell of overdue jobs: those of a project with a repeating schedule that is not paused,
-- and without a success for the alert's hours. A lapse begins with the last success or, if there was none since, when the
-- alert or the schedule began; an alert tells of each lapse once.
WITH looked_at AS MATERIALIZED (
    UPDATE job_alerts SET overdue_look_at = CAST(:now AS timestamptz) + interval '5 minutes'
    WHERE id IN (SELECT id FROM job_alerts WHERE id = ANY (CAST(:keys AS uuid[]))
                   AND overdue_look_at <= CAST(:now AS timestamptz) AND paused_at IS NULL AND deleted_at IS NULL
                 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING *
), expected AS (
    SELECT alert.id AS alert_id, alert.team_id, alert.minutes_between > 0 OR alert.channel = 'mail' AS is_held,
           alert.overdue_hours, schedule.project_id, schedule.job_type, greatest(alert.active_since, min(schedule.created_at)) AS since
    FROM looked_at alert
    JOIN projects project ON project.team_id = alert.team_id AND project.deleted_at IS NULL
    JOIN job_team_schedules schedule ON schedule.project_id = project.id
    WHERE schedule.cron IS NOT NULL AND schedule.next_slot IS NOT NULL
      AND (alert.job_types IS NULL OR schedule.job_type = ANY (alert.job_types))
      AND (alert.project_ids IS NULL OR schedule.project_id = ANY (alert.project_ids))
    GROUP BY alert.id, alert.team_id, alert.minutes_between, alert.channel, alert.overdue_hours, alert.active_since,
             schedule.project_id, schedule.job_type
), lapsed AS (
    SELECT expected.*, last.completed_at AS last_success_at, greatest(expected.since, last.completed_at) AS lapse_since
    FROM expected LEFT JOIN LATERAL (
        SELECT run.completed_at FROM job_runs run
        WHERE run.project_id = expected.project_id AND run.job_type = expected.job_type
          AND run.status = 'completed' AND run.completed_at IS NOT NULL
        ORDER BY run.created_at DESC LIMIT 1
    ) AS last ON true
)
INSERT INTO job_alert_deliveries (alert_id, team_id, kind, about, data, status, send_at, expires_at)
SELECT lapsed.alert_id, lapsed.team_id, 'overdue',
       concat_ws(' ', 'overdue', lapsed.project_id, lapsed.job_type, extract(epoch FROM lapsed.lapse_since)),
       jsonb_build_object(
           'job_type', lapsed.job_type, 'hours', lapsed.overdue_hours, 'last_success_at', lapsed.last_success_at,
           'since', lapsed.lapse_since,
           'team', jsonb_build_object('id', lapsed.team_id, 'name', team.name),
           'project', jsonb_build_object('id', lapsed.project_id, 'name', project.name)),
       CASE WHEN lapsed.is_held THEN 'held' ELSE 'unsent' END,
       CASE WHEN NOT lapsed.is_held THEN CAST(:now AS timestamptz) END,
       CAST(:now AS timestamptz) + interval '1 day'
FROM lapsed
JOIN teams team ON team.id = lapsed.team_id AND team.deleted_at IS NULL
JOIN projects project ON project.id = lapsed.project_id
WHERE lapsed.lapse_since + make_interval(hours => lapsed.overdue_hours) <= CAST(:now AS timestamptz)
ON CONFLICT (alert_id, about) DO NOTHING
RETURNING CAST(alert_id AS text) AS alert_id;
