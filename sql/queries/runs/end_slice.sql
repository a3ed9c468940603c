-- Hands the run over to the next slice number. Only a Wait carries a checkpoint and so changes cursor, version and
-- progress; otherwise they stay as the last yield stored them. resend_at is when the sweep repeats the message if it is
-- lost. For a wait longer than SQS can delay a message, the sweep sends the only message.
-- Lines that the job logged since its last yield are stored even if that step was rolled back.
-- No row: a cancel was requested, or the slice is lost.
WITH at AS MATERIALIZED (SELECT clock_timestamp() AS time, make_interval(secs => CAST(:wait_s AS float8)) AS wait),
handed_over AS (
    UPDATE job_runs AS run
    SET slice = slice + 1, lease_expires_at = NULL, request_id = NULL, slice_started_at = NULL, resends = 0,
        due_at = at.time + at.wait,
        resend_at = at.time + at.wait + make_interval(
            secs => CASE WHEN CAST(:wait_s AS float8) > CAST(:max_delay_s AS float8) THEN 0
                         ELSE CAST(:resend_delay_s AS float8) END),
        waiting_for = CAST(:waiting_for AS text),
        lost_slices = CASE WHEN CAST(:has_checkpoint AS boolean) AND cursor IS DISTINCT FROM CAST(:cursor AS jsonb)
                           THEN 0 ELSE lost_slices END,
        failed_attempts = CASE
            WHEN CAST(:failed_as AS text) IS NOT NULL
            THEN failed_attempts || jsonb_build_object(
                CAST(:failed_as AS text), coalesce(CAST(failed_attempts->>CAST(:failed_as AS text) AS integer), 0) + 1)
            WHEN CAST(:has_checkpoint AS boolean) AND cursor IS DISTINCT FROM CAST(:cursor AS jsonb) THEN '{}'
            ELSE failed_attempts END,
        cursor = CASE WHEN CAST(:has_checkpoint AS boolean) THEN CAST(:cursor AS jsonb) ELSE cursor END,
        cursor_version = CASE WHEN CAST(:has_checkpoint AS boolean) THEN CAST(:cursor_version AS integer)
                              ELSE cursor_version END,
        progress = CASE WHEN CAST(:has_checkpoint AS boolean) THEN coalesce(CAST(:progress AS jsonb), progress)
                        ELSE progress END,
        logged_lines = CASE WHEN CAST(:lines AS text) IS NULL THEN logged_lines
                            ELSE coalesce(logged_lines, 0) + CAST(:logged AS bigint) END
    FROM at
    WHERE id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer) AND status IN ('pending', 'running')
      AND cancel_requested_at IS NULL
    RETURNING run.id, run.slice, run.team_id, run.progress, run.logged_lines
), recorded AS (
    -- A statement sees its tables as they were before it, so job_runs still has the slice here.
    INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome, reason, wait_s, processed)
    SELECT held.id, held.slice, held.request_id, held.slice_started_at, CAST(:outcome AS text), CAST(:reason AS text),
           ceil(CAST(:wait_s AS float8)), CAST(handed_over.progress->>'processed' AS bigint)
    FROM handed_over JOIN job_runs held ON held.id = handed_over.id
)
SELECT id, slice, team_id, CASE WHEN CAST(:lines AS text) IS NOT NULL THEN keep_log_lines(
           id, team_id, CAST(:slice AS integer), logged_lines, CAST(:lines AS text), CAST(:kept_lines AS integer)) END
           AS log_trouble
FROM handed_over;
