-- The addresses that get the mails of an alert now: of the team's admins, if it names them, and of those it names itself
-- that belong to a member or that their owner has confirmed. None of an alert that is deleted.
WITH alert AS MATERIALIZED (
    SELECT team_id, config FROM job_alerts WHERE id = CAST(:alert_id AS uuid) AND deleted_at IS NULL
)
SELECT lower(btrim(person.email)) AS address
FROM alert
JOIN team_members member ON member.team_id = alert.team_id
JOIN users person ON person.id = member.user_id AND person.deleted_at IS NULL
WHERE btrim(person.email) <> ''
  AND ((alert.config -> 'admins' = 'true' AND member.role IN ('admin', 'owner'))
       OR alert.config -> 'addresses' ? lower(btrim(person.email)))
UNION
SELECT confirmed.address
FROM alert JOIN job_alert_addresses confirmed ON confirmed.team_id = alert.team_id
WHERE confirmed.confirmed_at IS NOT NULL AND alert.config -> 'addresses' ? confirmed.address
ORDER BY address;
