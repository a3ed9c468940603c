-- Take these runs from workers that died or froze. On the locked row, in this order: a cancel that was asked for, the
-- limit of lost slices, the next number. Raising the number is what shuts the old worker out.
WITH expired AS (
    SELECT id, slice AS lost_slice, cancel_requested_at IS NOT NULL AS cancelled,
           lost_slices + 1 >= CAST(:lost_slices_limit AS integer) AS dead
    FROM job_runs
    WHERE id = ANY (CAST(:keys AS uuid[])) AND status IN ('pending', 'running')
      AND lease_expires_at <= clock_timestamp()
    FOR UPDATE SKIP LOCKED
), decided AS (
    UPDATE job_runs AS run
    SET status = CASE WHEN cancelled THEN 'cancelled' WHEN dead THEN 'failed' ELSE status END,
        error = CASE WHEN dead AND NOT cancelled THEN 'Server restarted during execution' END,
        completed_at = CASE WHEN cancelled OR dead THEN clock_timestamp() END,
        slice = CASE WHEN cancelled OR dead THEN slice ELSE slice + 1 END,
        lost_slices = lost_slices + 1,
        lease_expires_at = NULL, resends = 0,
        due_at = clock_timestamp(),
        resend_at = CASE WHEN NOT (cancelled OR dead)
                         THEN clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8)) END
    FROM expired WHERE run.id = expired.id
    RETURNING run.id, run.job_type, run.slice, run.team_id, run.status, run.progress, expired.lost_slice
), closed AS (
    UPDATE job_slices AS gone
    SET ended_at = clock_timestamp(), outcome = 'lost', reason = 'Its worker did not end it before the lease was over',
        processed = CAST(decided.progress->>'processed' AS bigint)
    FROM decided WHERE gone.run_id = decided.id AND gone.slice = decided.lost_slice
)
SELECT id, job_type, slice, team_id, status FROM decided;
