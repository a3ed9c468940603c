-- Returns nothing if the action was confirmed already, or is older than an hour.
UPDATE job_bulk_actions
SET confirmed_by = CAST(:confirmed_by AS text), confirmed_at = clock_timestamp()
WHERE id = CAST(:action_id AS uuid) AND confirmed_at IS NULL AND created_at > statement_timestamp() - interval '1 hour'
RETURNING id;
