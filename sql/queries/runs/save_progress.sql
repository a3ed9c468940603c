-- A yield: the last statement of the step's transaction. No row: the slice is lost.
-- The counts of failures restart only if the cursor moved: otherwise the run may be failing at the same place
-- repeatedly.
-- The lines that the job logged are stored with the step. Without lines the function is not called.
UPDATE job_runs
SET lost_slices = CASE WHEN cursor IS DISTINCT FROM CAST(:cursor AS jsonb) THEN 0 ELSE lost_slices END,
    failed_attempts = CASE WHEN cursor IS DISTINCT FROM CAST(:cursor AS jsonb) THEN '{}' ELSE failed_attempts END,
    cursor = CAST(:cursor AS jsonb), cursor_version = CAST(:cursor_version AS integer),
    progress = CAST(:progress AS jsonb), last_step_at = clock_timestamp(),
    logged_lines = CASE WHEN CAST(:lines AS text) IS NULL THEN logged_lines
                        ELSE coalesce(logged_lines, 0) + CAST(:logged AS bigint) END
WHERE id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer) AND status IN ('pending', 'running')
RETURNING cancel_requested_at IS NOT NULL AS cancel_requested, failed_attempts,
          CASE WHEN CAST(:lines AS text) IS NOT NULL THEN keep_log_lines(
                id, team_id, CAST(:slice AS integer), logged_lines, CAST(:lines AS text), CAST(:kept_lines AS integer)) END
                AS log_trouble;
