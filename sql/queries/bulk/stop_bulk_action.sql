-- Skips the items that are left to do. It waits for a session that is at work on some of them: if that one dies, its items
-- must not be left.
UPDATE job_bulk_items
SET outcome = 'skipped', reason = 'the action was stopped', decided_at = clock_timestamp()
WHERE id IN (SELECT id FROM job_bulk_items WHERE action_id = CAST(:action_id AS uuid) AND outcome IS NULL
             FOR UPDATE)
RETURNING id;
