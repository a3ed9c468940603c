-- The worker ends the run as completed, failed or cancelled. An accepted cancel wins: completed and failed then find no
-- row, and the worker ends the run as cancelled. If that finds no row either, the slice is lost.
-- Lines that the job logged since its last yield are stored even if that step was rolled back.
-- announces: whether the ending may owe a mail or an event, which tell_of_ending decides.
UPDATE job_runs
SET status = CAST(:status AS text), result = CAST(:result AS jsonb), error = CAST(:error AS text),
    progress = CASE WHEN CAST(:status AS text) = 'completed'
                    THEN jsonb_set(progress, '{processed}', progress->'total') ELSE progress END,
    completed_at = clock_timestamp(), lease_expires_at = NULL, resend_at = NULL, waiting_for = NULL,
    logged_lines = CASE WHEN CAST(:lines AS text) IS NULL THEN logged_lines
                        ELSE coalesce(logged_lines, 0) + CAST(:logged AS bigint) END
WHERE id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer) AND status IN ('pending', 'running')
  AND (cancel_requested_at IS NULL OR CAST(:status AS text) = 'cancelled')
RETURNING id, notify OR project_id IS NULL OR EXISTS (SELECT FROM job_deployment WHERE wants_events) AS announces,
          CASE WHEN CAST(:lines AS text) IS NOT NULL THEN keep_log_lines(
                id, team_id, CAST(:slice AS integer), logged_lines, CAST(:lines AS text), CAST(:kept_lines AS integer)) END
                AS log_trouble;
