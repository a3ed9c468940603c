-- Inserts a slot's row and its run, or neither. If the slot was decided before, the slot's primary key raises an error,
-- and the run is not inserted either. The slot is skipped if the job is paused or a run of its type is live. The live
-- run is looked for first; the no-op DO UPDATE is for a race (insert_run.sql).
WITH pause AS (
    SELECT NULL::uuid AS id, 'paused by ' || paused_by || ': ' || why AS reason FROM job_pauses
    WHERE job_type = CAST(:job_type AS text) ORDER BY what DESC LIMIT 1
), live AS (
    SELECT id, NULL AS reason FROM job_runs
    WHERE job_type = CAST(:job_type AS text) AND project_id IS NULL AND completed_at IS NULL
      AND NOT EXISTS (SELECT FROM pause)
), inserted AS (
    INSERT INTO job_runs AS run (id, job_type, triggered_by, params, resend_at)
    SELECT CAST(:id AS uuid), CAST(:job_type AS text), 'schedule', CAST(:params AS jsonb),
           clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8))
    WHERE NOT EXISTS (SELECT FROM pause) AND NOT EXISTS (SELECT FROM live)
    ON CONFLICT (project_id, job_type) WHERE completed_at IS NULL DO UPDATE SET status = run.status
    RETURNING run.id, NULL AS reason
)
INSERT INTO job_schedule_slots (job_type, slot, outcome, run_id, reason)
SELECT CAST(:job_type AS text), CAST(:slot AS timestamptz),
       CASE WHEN run.id = CAST(:id AS uuid) THEN CAST(:outcome AS text) ELSE 'skipped' END, run.id, run.reason
FROM (SELECT * FROM pause UNION ALL SELECT * FROM live UNION ALL SELECT * FROM inserted) AS run
RETURNING outcome;
