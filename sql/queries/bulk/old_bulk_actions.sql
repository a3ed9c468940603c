-- Such actions of which each item was deleted.
SELECT CAST(id AS text) AS key FROM job_bulk_actions action
WHERE (ended_at IS NOT NULL
           AND created_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8))
       OR confirmed_at IS NULL AND created_at <= statement_timestamp() - interval '65 minutes')
  AND NOT EXISTS (SELECT FROM job_bulk_items item WHERE item.action_id = action.id)
ORDER BY created_at LIMIT CAST(:at_most AS integer);
