-- Ends the actions of which each item has its outcome.
UPDATE job_bulk_actions action
SET ended_at = clock_timestamp()
WHERE confirmed_at IS NOT NULL AND ended_at IS NULL
  AND NOT EXISTS (SELECT FROM job_bulk_items item WHERE item.action_id = action.id AND item.outcome IS NULL)
RETURNING id;
