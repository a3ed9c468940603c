-- Ended runs that have been kept long enough, with their slices and what the outbox holds of them. One with something still
-- to be sent stays.
WITH old AS (
    SELECT id FROM job_runs AS run
    WHERE NOT EXISTS (SELECT FROM job_outbox WHERE run_id = run.id AND send_at IS NOT NULL)
      AND completed_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8))
    ORDER BY completed_at LIMIT CAST(:batch AS integer)
    FOR UPDATE SKIP LOCKED
), slices AS (
    DELETE FROM job_slices USING old WHERE run_id = old.id
), told AS (
    DELETE FROM job_outbox USING old WHERE run_id = old.id
)
DELETE FROM job_runs AS run USING old WHERE run.id = old.id
RETURNING run.id;
