-- A slot's row and its run, both or neither. The no-op DO UPDATE brings the live run back that stands in the way; a slot
-- that was decided before breaks on the ledger's key, and the run goes with it.
WITH run AS (
    INSERT INTO job_runs AS run (id, job_type, triggered_by, resend_at)
    SELECT CAST(:id AS uuid), CAST(:job_type AS text), 'schedule',
           clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8))
    ON CONFLICT (job_type, project_id) WHERE status IN ('pending', 'running') DO UPDATE SET status = run.status
    RETURNING run.id
)
INSERT INTO job_schedule_slots (job_type, slot, outcome, run_id)
SELECT CAST(:job_type AS text), CAST(:slot AS timestamptz),
       CASE WHEN run.id = CAST(:id AS uuid) THEN CAST(:outcome AS text) ELSE 'skipped' END, run.id
FROM run
RETURNING outcome;
