-- Confirms the address of this token, once, within a week. Returns nothing for a token that was used, replaced or never
-- made.
UPDATE job_alert_addresses AS asked
SET confirmed_at = clock_timestamp(), token_hash = NULL
FROM teams team
WHERE asked.token_hash = CAST(:token_hash AS bytea) AND asked.asked_at > clock_timestamp() - interval '7 days'
  AND team.id = asked.team_id AND team.deleted_at IS NULL
RETURNING asked.address, team.name AS team;
