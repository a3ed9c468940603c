-- The next items of the actions that are at work, or of :action_id alone. A team's actions of a kind share :cancels or
-- :reruns, the oldest action and the oldest run first. A team starts at most :reruns in a minute by bulk actions, so that
-- its people can start runs meanwhile: those of the last fifty seconds count, because sweeps do not come to the second.
-- Items that the sweep has set aside (:passed_over) take up nothing of a share.
WITH working AS MATERIALIZED (
    SELECT id, team_id, action, confirmed_at
    FROM job_bulk_actions
    WHERE confirmed_at IS NOT NULL AND ended_at IS NULL
      AND (CAST(:action_id AS uuid) IS NULL OR id = CAST(:action_id AS uuid))
), shares AS (
    SELECT team_id, action, greatest(0, CASE action WHEN 'cancel' THEN CAST(:cancels AS integer)
               ELSE CAST(:reruns AS integer) - (
                   SELECT CAST(count(*) AS integer)
                   FROM job_bulk_actions other JOIN job_bulk_items done ON done.action_id = other.id
                   WHERE other.team_id = working.team_id AND other.action = 'rerun' AND other.confirmed_at IS NOT NULL
                     AND (other.ended_at IS NULL OR other.ended_at > statement_timestamp() - interval '50 seconds')
                     AND done.outcome = 'started' AND done.decided_at > statement_timestamp() - interval '50 seconds')
               END) AS share
    FROM working GROUP BY team_id, action
)
SELECT CAST(item.id AS text) AS key
FROM shares, LATERAL (
    SELECT next.id
    FROM working, LATERAL (
        SELECT id, run_created_at FROM job_bulk_items
        WHERE action_id = working.id AND outcome IS NULL AND id <> ALL (CAST(:passed_over AS uuid[]))
        ORDER BY run_created_at, id LIMIT shares.share
    ) AS next
    WHERE working.team_id = shares.team_id AND working.action = shares.action
    ORDER BY working.confirmed_at, working.id, next.run_created_at, next.id LIMIT shares.share
) AS item
LIMIT CAST(:at_most AS integer);
