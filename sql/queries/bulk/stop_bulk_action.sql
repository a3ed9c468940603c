-- Skips the items that are left to do. Items on which another session is at work keep the outcome of that session.
UPDATE job_bulk_items
SET outcome = 'skipped', reason = 'the action was stopped', decided_at = clock_timestamp()
WHERE id IN (SELECT id FROM job_bulk_items WHERE action_id = CAST(:action_id AS uuid) AND outcome IS NULL
             FOR UPDATE SKIP LOCKED)
RETURNING id;
