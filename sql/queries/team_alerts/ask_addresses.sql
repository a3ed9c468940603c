-- Asks the owners of these addresses to confirm them: those that belong to no member of the team and are not confirmed. An
-- address is asked again after a day, and each delay doubles; all teams together ask it three times a day. Returns how many
-- were asked now (asked_count), how many are left for later (left_count), and how many addresses of the team were asked
-- within a day and have not confirmed (waiting_count), which the caller limits. The caller has locked the team's alerts.
WITH outside AS MATERIALIZED (
    SELECT named.address,
           (known.asked_at IS NULL
            OR known.asked_at <= clock_timestamp() - interval '1 day' * power(2, least(known.asks - 1, 12)))
           AND 3 > (SELECT count(*) FROM job_alert_addresses other
                    WHERE other.address = named.address AND other.asked_at > clock_timestamp() - interval '1 day')
           AS is_asked
    FROM unnest(CAST(:addresses AS text[])) AS named (address)
    LEFT JOIN job_alert_addresses known ON known.team_id = CAST(:team_id AS uuid) AND known.address = named.address
    WHERE known.confirmed_at IS NULL
      AND NOT EXISTS (SELECT FROM team_members member JOIN users person ON person.id = member.user_id
                      WHERE member.team_id = CAST(:team_id AS uuid) AND person.deleted_at IS NULL
                        AND lower(btrim(person.email)) = named.address)
), asked AS (
    INSERT INTO job_alert_addresses AS known (team_id, address, asked_at)
    SELECT CAST(:team_id AS uuid), address, clock_timestamp() FROM outside WHERE is_asked
    ON CONFLICT (team_id, address) DO UPDATE
    SET asked_at = clock_timestamp(), token_hash = NULL, asks = known.asks + 1
    RETURNING address
), mails AS (
    INSERT INTO job_outbox (content, recipient, team_id)
    SELECT CAST(:content AS jsonb), address, CAST(:team_id AS uuid) FROM asked
)
SELECT (SELECT count(*) FROM asked) AS asked_count, (SELECT count(*) FROM outside WHERE NOT is_asked) AS left_count, (
    SELECT count(*) FROM job_alert_addresses other
    WHERE other.team_id = CAST(:team_id AS uuid) AND other.confirmed_at IS NULL
      AND other.asked_at > clock_timestamp() - interval '1 day'
      AND other.address NOT IN (SELECT address FROM asked)) + (SELECT count(*) FROM asked) AS waiting_count;
