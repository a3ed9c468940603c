-- The alerts of a team, or one of them, each with its last delivery and what is known of its mail addresses: "member",
-- "confirmed" or "waiting".
SELECT alert.id, alert.team_id, alert.name, alert.events, alert.job_types, alert.project_ids, alert.channel,
       alert.config, alert.minutes_between, alert.overdue_hours, alert.created_by, alert.created_at, alert.updated_at,
       alert.paused_by, alert.paused_why, alert.paused_at, alert.failures, alert.failing_since,
       CASE WHEN alert.old_secret_until > clock_timestamp() THEN alert.old_secret_until END AS old_secret_until,
       last.status AS last_status, last.kind AS last_kind, last.created_at AS last_at, last.error AS last_error, (
           SELECT jsonb_object_agg(named.address, CASE
               WHEN EXISTS (SELECT FROM team_members member JOIN users person ON person.id = member.user_id
                            WHERE member.team_id = alert.team_id AND person.deleted_at IS NULL
                              AND lower(btrim(person.email)) = named.address) THEN 'member'
               WHEN asked.confirmed_at IS NOT NULL THEN 'confirmed' ELSE 'waiting' END)
           FROM jsonb_array_elements_text(alert.config -> 'addresses') AS named (address)
           LEFT JOIN job_alert_addresses asked ON asked.team_id = alert.team_id AND asked.address = named.address
       ) AS states
FROM job_alerts alert
JOIN teams team ON team.id = alert.team_id AND team.deleted_at IS NULL
LEFT JOIN LATERAL (
    SELECT status, kind, created_at, error FROM job_alert_deliveries
    WHERE alert_id = alert.id ORDER BY created_at DESC, id DESC LIMIT 1
) AS last ON true
WHERE (CAST(:team_id AS uuid) IS NULL OR alert.team_id = CAST(:team_id AS uuid)) AND alert.deleted_at IS NULL
  AND (CAST(:alert_id AS uuid) IS NULL OR alert.id = CAST(:alert_id AS uuid))
ORDER BY alert.created_at DESC, alert.id;
