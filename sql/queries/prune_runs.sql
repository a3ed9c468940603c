-- Delete these ended runs with their slices and what the outbox holds of them.
WITH old AS (
    SELECT id FROM job_runs AS run
    WHERE id = ANY (CAST(:keys AS uuid[])) AND completed_at IS NOT NULL AND untold IS NULL
      AND NOT EXISTS (SELECT FROM job_outbox WHERE run_id = run.id AND send_at IS NOT NULL)
    FOR UPDATE SKIP LOCKED
), slices AS (
    DELETE FROM job_slices USING old WHERE run_id = old.id
), told AS (
    DELETE FROM job_outbox USING old WHERE run_id = old.id
)
DELETE FROM job_runs AS run USING old WHERE run.id = old.id
RETURNING run.id;
