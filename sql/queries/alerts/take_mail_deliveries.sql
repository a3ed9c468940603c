-- The deliveries by mail that are due, and their recipients: the team's admins, and addresses of the alert that belong to
-- a member or that their owner has confirmed. The caller hands them to the outbox in this transaction.
WITH due AS MATERIALIZED (
    SELECT delivery.id, delivery.kind, delivery.data, alert.id AS alert_id, alert.name, alert.team_id, alert.config
    FROM job_alert_deliveries delivery JOIN job_alerts alert ON alert.id = delivery.alert_id
    WHERE alert.id = ANY (CAST(:keys AS uuid[])) AND alert.channel = 'mail' AND alert.deleted_at IS NULL
      AND (alert.paused_at IS NULL OR delivery.kind = 'test')
      AND delivery.status = 'unsent' AND delivery.send_at <= CAST(:now AS timestamptz)
    ORDER BY delivery.created_at, delivery.id
    FOR NO KEY UPDATE OF delivery SKIP LOCKED
)
SELECT due.id, due.kind, due.data, due.name, due.team_id, ARRAY(
    SELECT DISTINCT lower(btrim(person.email))
    FROM team_members member JOIN users person ON person.id = member.user_id AND person.deleted_at IS NULL
    WHERE member.team_id = due.team_id AND btrim(person.email) <> ''
      AND ((due.config -> 'admins' = 'true' AND member.role IN ('admin', 'owner'))
           OR due.config -> 'addresses' ? lower(btrim(person.email)))
    UNION
    SELECT confirmed.address FROM job_alert_addresses confirmed
    WHERE confirmed.team_id = due.team_id AND confirmed.confirmed_at IS NOT NULL
      AND due.config -> 'addresses' ? confirmed.address
    ORDER BY 1
) AS recipients
FROM due;
