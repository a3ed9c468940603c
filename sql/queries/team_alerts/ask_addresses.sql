-- Asks the owners of these addresses to confirm them: those that belong to no member of the team, are not confirmed, and
-- were not asked within the last hour. Returns nothing to do, or how many addresses wait, of which the team may have
-- :at_most. The caller has locked the team's alerts.
WITH outside AS MATERIALIZED (
    SELECT named.address
    FROM unnest(CAST(:addresses AS text[])) AS named (address)
    LEFT JOIN job_alert_addresses known ON known.team_id = CAST(:team_id AS uuid) AND known.address = named.address
    WHERE known.confirmed_at IS NULL
      AND (known.asked_at IS NULL OR known.asked_at <= clock_timestamp() - interval '1 hour')
      AND NOT EXISTS (SELECT FROM team_members member JOIN users person ON person.id = member.user_id
                      WHERE member.team_id = CAST(:team_id AS uuid) AND person.deleted_at IS NULL
                        AND lower(btrim(person.email)) = named.address)
), asked AS (
    INSERT INTO job_alert_addresses AS known (team_id, address, asked_at)
    SELECT CAST(:team_id AS uuid), address, clock_timestamp() FROM outside
    ON CONFLICT (team_id, address) DO UPDATE SET asked_at = clock_timestamp(), token_hash = NULL
    RETURNING address
), mails AS (
    INSERT INTO job_outbox (content, recipient, team_id)
    SELECT CAST(:content AS jsonb), address, CAST(:team_id AS uuid) FROM asked
)
SELECT (SELECT count(*) FROM asked) AS asked_count, (
    SELECT count(*) FROM job_alert_addresses other
    WHERE other.team_id = CAST(:team_id AS uuid) AND other.confirmed_at IS NULL
      AND other.asked_at > clock_timestamp() - interval '1 day'
      AND other.address NOT IN (SELECT address FROM asked)) + (SELECT count(*) FROM asked) AS waiting_count;
