-- Skips what could not be done within a week of the confirmation, so that each action ends.
UPDATE job_bulk_items
SET outcome = 'skipped', reason = 'it could not be done within a week', decided_at = clock_timestamp()
WHERE id IN (
    SELECT item.id FROM job_bulk_actions action JOIN job_bulk_items item ON item.action_id = action.id
    WHERE action.confirmed_at <= statement_timestamp() - interval '7 days' AND action.ended_at IS NULL
      AND item.outcome IS NULL
    FOR UPDATE OF item SKIP LOCKED)
RETURNING id;
