-- The items of bulk actions whose retention time is over, and of previews that were not confirmed within their hour. The
-- last confirmation may be under way then, so they are kept for some minutes more. An action at work is kept until it has
-- ended.
SELECT CAST(item.id AS text) AS key
FROM job_bulk_actions action JOIN job_bulk_items item ON item.action_id = action.id
WHERE action.ended_at IS NOT NULL
      AND action.created_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8))
   OR action.confirmed_at IS NULL AND action.created_at <= statement_timestamp() - interval '65 minutes'
ORDER BY action.created_at, item.id LIMIT CAST(:at_most AS integer);
