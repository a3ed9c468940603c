-- Actions of a team with their figures: this one, or without :action_id the newest that were confirmed. The reasons for
-- which runs were skipped are counted without the ids in them, at most ten.
SELECT action.*, figures.*,
       (SELECT jsonb_agg(jsonb_build_object('reason', reason, 'runs', runs) ORDER BY runs DESC, reason)
        FROM (SELECT regexp_replace(reason, ',? (as )?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '') AS reason,
                     count(*) AS runs
              FROM job_bulk_items WHERE action_id = action.id AND outcome = 'skipped'
              GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10) AS most) AS reasons
FROM (SELECT * FROM job_bulk_actions
      WHERE team_id = CAST(:team_id AS uuid)
        AND CASE WHEN CAST(:action_id AS uuid) IS NULL THEN confirmed_at IS NOT NULL
                 ELSE id = CAST(:action_id AS uuid) END
      ORDER BY created_at DESC, id DESC LIMIT CAST(:limit AS integer)) AS action, LATERAL (
    SELECT count(*) AS runs,
           count(*) FILTER (WHERE outcome IS NULL) AS to_do,
           count(*) FILTER (WHERE outcome = 'started') AS started,
           count(*) FILTER (WHERE outcome = 'cancelled') AS cancelled,
           count(*) FILTER (WHERE outcome = 'asked') AS asked_to_stop,
           count(*) FILTER (WHERE outcome = 'superseded') AS superseded,
           count(*) FILTER (WHERE outcome = 'skipped') AS skipped,
           count(DISTINCT project_id) AS projects
    FROM job_bulk_items WHERE action_id = action.id) AS figures
ORDER BY action.created_at DESC, action.id DESC;
