-- Holds a slice that found no place: it is due later, and says what it waits for. Its time limit moves with it, because
-- the run does not work. No row: the slice is claimed, ended or held by now.
UPDATE job_runs AS run
SET due_at = at.time + at.wait, resends = 0, waiting_for = CAST(:waiting_for AS text), ends_by = ends_by + at.wait,
    resend_at = at.time + at.wait + make_interval(secs => CAST(:resend_delay_s AS float8)),
    held_since = CASE WHEN held_slice = slice THEN held_since ELSE at.time END, held_slice = slice
FROM (SELECT clock_timestamp() AS time, make_interval(secs => CAST(:wait_s AS float8)) AS wait) AS at
WHERE id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer) AND status IN ('pending', 'running')
  AND lease_expires_at IS NULL AND due_at <= at.time
RETURNING id;
