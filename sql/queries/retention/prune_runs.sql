-- Deletes these ended runs with their slices and outbox rows, unless an outbox row is still to be sent, alone or in a
-- digest.
WITH old AS (
    SELECT id FROM job_runs AS run
    WHERE id = ANY (CAST(:keys AS uuid[])) AND completed_at IS NOT NULL AND untold IS NULL
      AND NOT EXISTS (
          SELECT FROM job_outbox mail LEFT JOIN job_outbox digest ON digest.id = mail.digest_id
          WHERE mail.run_id = run.id AND (mail.send_at IS NOT NULL OR digest.send_at IS NOT NULL))
    FOR UPDATE SKIP LOCKED
), slices AS (
    DELETE FROM job_slices USING old WHERE run_id = old.id
), told AS (
    DELETE FROM job_outbox USING old WHERE run_id = old.id
)
DELETE FROM job_runs AS run USING old WHERE run.id = old.id
RETURNING run.id;
