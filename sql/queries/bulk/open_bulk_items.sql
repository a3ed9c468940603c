-- The next items of each action that is at work, the oldest run first; of each action at most :cancels or :reruns. A team
-- starts at most :reruns in a minute by bulk actions, so that its people can start runs meanwhile: those of the last
-- fifty seconds count, because sweeps do not come to the second.
SELECT CAST(item.id AS text) AS key
FROM (SELECT action.*, CASE WHEN action = 'cancel' THEN CAST(:cancels AS integer) ELSE CAST(:reruns AS integer) - (
                 SELECT CAST(count(*) AS integer)
                 FROM job_bulk_actions other JOIN job_bulk_items done ON done.action_id = other.id
                 WHERE other.team_id = action.team_id AND other.action = 'rerun' AND other.confirmed_at IS NOT NULL
                   AND (other.ended_at IS NULL OR other.ended_at > statement_timestamp() - interval '50 seconds')
                   AND done.outcome = 'started' AND done.decided_at > statement_timestamp() - interval '50 seconds')
             END AS share,
             row_number() OVER (PARTITION BY team_id, action ORDER BY confirmed_at, id) AS turn
      FROM job_bulk_actions action
      WHERE confirmed_at IS NOT NULL AND ended_at IS NULL
        AND (CAST(:action_id AS uuid) IS NULL OR id = CAST(:action_id AS uuid))) AS working, LATERAL (
    SELECT id FROM job_bulk_items
    WHERE action_id = working.id AND outcome IS NULL
    ORDER BY run_created_at, id LIMIT greatest(0, working.share)
) AS item
WHERE action = 'cancel' OR turn = 1
LIMIT CAST(:at_most AS integer);
