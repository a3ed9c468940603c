-- Takes these runs from workers that died or froze. On the locked row, in this order: an accepted cancel; the limit of
-- lost slices (in a row or in total); the next slice number. Raising the number is what locks the old worker out.
-- The error of a failed run says how often its worker was lost, at which step, and the last reason that a worker
-- recorded.
WITH expired AS (
    SELECT run.id, run.slice AS lost_slice, request_id, slice_started_at, cancel_requested_at IS NOT NULL AS cancelled,
           lost_slices + 1 >= CAST(:lost_slices_limit AS integer)
           OR lost_in_total + 1 >= CAST(:lost_slices_ceiling AS integer) AS dead,
           coalesce(abandoned_because, 'Its worker did not end it before the lease was over') AS reason
    FROM job_runs AS run
    WHERE run.id = ANY (CAST(:keys AS uuid[])) AND run.status IN ('pending', 'running')
      AND lease_expires_at <= clock_timestamp()
    FOR UPDATE SKIP LOCKED
), decided AS (
    UPDATE job_runs AS run
    SET status = CASE WHEN cancelled THEN 'cancelled' WHEN dead THEN 'failed' ELSE status END,
        error = CASE WHEN dead AND NOT cancelled THEN concat(
            'Server restarted during execution. Its worker was lost ',
            CASE WHEN lost_slices + 1 >= CAST(:lost_slices_limit AS integer)
                 THEN concat(lost_slices + 1, ' times in a row') ELSE concat(lost_in_total + 1, ' times') END,
            ' at step ', coalesce(progress->>'processed', '0'), ' of ' || (progress->>'total'), '. The last time: ',
            expired.reason) END,
        completed_at = CASE WHEN cancelled OR dead THEN clock_timestamp() END,
        slice = CASE WHEN cancelled OR dead THEN slice ELSE slice + 1 END,
        lost_slices = lost_slices + 1, lost_in_total = lost_in_total + 1,
        lease_expires_at = NULL, request_id = NULL, slice_started_at = NULL, resends = 0,
        due_at = clock_timestamp(),
        resend_at = CASE WHEN NOT (cancelled OR dead)
                         THEN clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8)) END
    FROM expired WHERE run.id = expired.id
    RETURNING run.id, run.job_type, run.slice, run.team_id, run.status, run.progress, expired.lost_slice,
              expired.request_id, expired.slice_started_at, expired.reason
), recorded AS (
    INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome, reason, processed)
    SELECT id, lost_slice, request_id, slice_started_at, 'lost', reason, CAST(progress->>'processed' AS bigint)
    FROM decided
)
SELECT id, job_type, slice, team_id, status FROM decided;
