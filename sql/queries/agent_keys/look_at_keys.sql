-- Looks at these keys: forgets those that have ended or are gone, and returns those that expire within a week, once for
-- each expiry. Rows that another session has locked are left to it.
WITH seen AS MATERIALIZED (
    SELECT noted.key_id, noted.told_of, noted.last_used_at, key.id IS NULL OR key.deleted_at IS NOT NULL AS gone,
           key.team_id, key.name, key.key_prefix, key.expires_at, statement_timestamp() AS at
    FROM job_agent_keys noted LEFT JOIN api_keys key ON key.id = noted.key_id
    WHERE noted.key_id = ANY (CAST(:keys AS uuid[])) AND noted.look_at <= statement_timestamp()
    FOR UPDATE OF noted SKIP LOCKED
), forgotten AS (
    DELETE FROM job_agent_keys WHERE key_id IN (SELECT key_id FROM seen WHERE gone)
), decided AS (
    SELECT seen.*, expires_at > at AND expires_at <= at + interval '7 days' AND told_of IS DISTINCT FROM expires_at
           AS expires_soon
    FROM seen WHERE NOT gone
), looked AS (
    UPDATE job_agent_keys noted
    SET look_at = CASE WHEN expires_at > at + interval '7 days' THEN least(at + interval '1 day', expires_at - interval '7 days')
                       ELSE at + interval '1 day' END,
        told_of = CASE WHEN expires_soon THEN expires_at ELSE noted.told_of END
    FROM decided WHERE decided.key_id = noted.key_id
)
SELECT CAST(key_id AS text) AS id, CAST(decided.team_id AS text) AS team_id, decided.name, decided.key_prefix,
       decided.expires_at, decided.last_used_at, team.name AS team
FROM decided JOIN teams team ON team.id = decided.team_id AND team.deleted_at IS NULL
WHERE expires_soon ORDER BY decided.team_id, decided.expires_at;
