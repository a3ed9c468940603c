-- Gives up the place of an ended slice. If runs of the type are held, the place is kept for the one that was held longest,
-- for :kept_s, and that run is due now; it is returned, for its message. A run that is due already looks for itself.
-- Whether it may be called was checked on its locked row.
-- No row: no run is held; or the place's time was over, and another run has it.
WITH next AS (
    SELECT id FROM job_runs
    WHERE job_type = CAST(:job_type AS text) AND held_since IS NOT NULL AND completed_at IS NULL
      AND held_slice = slice AND lease_expires_at IS NULL AND due_at > clock_timestamp()
    ORDER BY held_since, id LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
), given AS (
    UPDATE job_places AS freed
    SET run_id = next.id, slice = NULL,
        taken_until = CASE WHEN next.id IS NULL THEN '-infinity'
                           ELSE clock_timestamp() + make_interval(secs => CAST(:kept_s AS float8)) END
    FROM (SELECT) AS one LEFT JOIN next ON true
    WHERE job_type = CAST(:job_type AS text) AND run_id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer)
    RETURNING freed.run_id
)
UPDATE job_runs AS called
SET due_at = clock_timestamp(), resends = 0,
    resend_at = clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8))
FROM given WHERE called.id = given.run_id
RETURNING called.id, called.slice, called.team_id;
