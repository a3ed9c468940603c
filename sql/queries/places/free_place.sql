-- Gives up the place of a slice that is over; or of a run that has ended, also one that was ended while it had no worker.
-- If runs of the type are held, the place is kept for the one that was held longest, for :kept_s, and that run is due now;
-- it is returned, for its message. A run that is due already looks for itself. Whether it may be called was checked on
-- its locked row. A place above a cap (:caps, by job type) that was lowered is kept for no run.
-- No row: no run is held; or the place's time was over, and another run has it.
WITH own AS MATERIALIZED (
    SELECT job_type, place, place <= CAST(CAST(:caps AS jsonb)->>job_type AS integer) AS is_used FROM job_places
    WHERE run_id = CAST(:run_id AS uuid)
      AND (slice = CAST(:slice AS integer)
           OR EXISTS (SELECT FROM job_runs WHERE id = CAST(:run_id AS uuid) AND completed_at IS NOT NULL))
    ORDER BY place LIMIT 1
    FOR NO KEY UPDATE
), next AS (
    SELECT id FROM job_runs
    WHERE job_type = (SELECT job_type FROM own WHERE is_used) AND held_since IS NOT NULL AND completed_at IS NULL
      AND held_slice = slice AND lease_expires_at IS NULL AND due_at > clock_timestamp()
    ORDER BY held_since, id LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
), given AS (
    UPDATE job_places AS freed
    SET run_id = next.id, slice = NULL,
        taken_until = CASE WHEN next.id IS NULL THEN '-infinity'
                           ELSE clock_timestamp() + make_interval(secs => CAST(:kept_s AS float8)) END
    FROM own LEFT JOIN next ON true
    WHERE freed.job_type = own.job_type AND freed.place = own.place
    RETURNING freed.run_id
)
UPDATE job_runs AS called
SET due_at = clock_timestamp(), resends = 0,
    resend_at = clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8))
FROM given WHERE called.id = given.run_id
RETURNING called.id, called.slice, called.team_id;
