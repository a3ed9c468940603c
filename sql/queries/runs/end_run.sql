-- The worker ends the run as completed, failed or cancelled. An accepted cancel wins: completed and failed then find no
-- row, and the worker ends the run as cancelled. If that finds no row either, the slice is lost.
WITH ended AS (
    UPDATE job_runs
    SET status = CAST(:status AS text), result = CAST(:result AS jsonb), error = CAST(:error AS text),
        progress = CASE WHEN CAST(:status AS text) = 'completed'
                        THEN jsonb_set(progress, '{processed}', progress->'total') ELSE progress END,
        completed_at = clock_timestamp(), lease_expires_at = NULL, resend_at = NULL, waiting_for = NULL
    WHERE id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer) AND completed_at IS NULL
      AND (cancel_requested_at IS NULL OR CAST(:status AS text) = 'cancelled')
    RETURNING *
), recorded AS (
    INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome, reason, processed)
    SELECT id, slice, request_id, slice_started_at, status, error, CAST(progress->>'processed' AS bigint) FROM ended
)
SELECT id FROM ended;
