-- The items of bulk actions whose retention time is over, and of unconfirmed previews of an hour ago. An action that is at
-- work is kept until it has ended.
SELECT CAST(item.id AS text) AS key
FROM job_bulk_actions action JOIN job_bulk_items item ON item.action_id = action.id
WHERE action.ended_at IS NOT NULL
      AND action.created_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8))
   OR action.confirmed_at IS NULL AND action.created_at <= statement_timestamp() - interval '1 hour'
ORDER BY action.created_at, item.id LIMIT CAST(:at_most AS integer);
