-- Ends a run that no worker holds; otherwise leaves a request for the lease holder. This is one statement because a
-- worker could claim the run between two, and the request would go unread until the worker's next yield.
UPDATE job_runs
SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
    cancel_requested_by = coalesce(cancel_requested_by, CAST(:requested_by AS text)),
    status = CASE WHEN lease_expires_at IS NULL THEN 'cancelled' ELSE status END,
    completed_at = CASE WHEN lease_expires_at IS NULL THEN clock_timestamp() END,
    resend_at = NULL, waiting_for = NULL
WHERE id = CAST(:run_id AS uuid) AND status IN ('pending', 'running')
RETURNING status;
