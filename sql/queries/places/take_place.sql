-- Takes a place for the slice, and returns it: the place that is kept for this run, or else a free one. No row: all are
-- taken. Two sessions never take the same one: FOR UPDATE reads the newest version of a row, and the condition is about
-- that row alone. It is taken for a second longer than the lease of the claim that follows in this transaction.
WITH free AS (
    SELECT job_type, place FROM job_places
    WHERE job_type = CAST(:job_type AS text) AND place <= CAST(:at_once AS integer)
      AND (run_id = CAST(:run_id AS uuid) OR taken_until <= clock_timestamp())
    ORDER BY run_id IS NOT DISTINCT FROM CAST(:run_id AS uuid) DESC, place LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE job_places AS taken
SET run_id = CAST(:run_id AS uuid), slice = CAST(:slice AS integer),
    taken_until = clock_timestamp() + make_interval(secs => CAST(:lease_s AS float8) + 1)
FROM free WHERE taken.job_type = free.job_type AND taken.place = free.place
RETURNING taken.place;
