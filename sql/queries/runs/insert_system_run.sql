-- Returns the new run (its id is :id), or the live run that stands in the way. No row: the type is paused.
-- The live run is looked for first; the no-op DO UPDATE is for a race (insert_run.sql).
WITH live AS (
    SELECT * FROM job_runs
    WHERE job_type = CAST(:job_type AS text) AND project_id IS NULL AND completed_at IS NULL
), pause AS (
    SELECT FROM job_pauses WHERE job_type = CAST(:job_type AS text) AND what = 'type'
), inserted AS (
    INSERT INTO job_runs AS run (id, job_type, triggered_by, params, resend_at)
    SELECT CAST(:id AS uuid), CAST(:job_type AS text), CAST(:triggered_by AS text), CAST(:params AS jsonb),
           clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8))
    WHERE NOT EXISTS (SELECT FROM pause) AND NOT EXISTS (SELECT FROM live)
    ON CONFLICT (project_id, job_type) WHERE completed_at IS NULL DO UPDATE SET status = run.status
    RETURNING run.*
)
SELECT *
FROM (SELECT * FROM live WHERE NOT EXISTS (SELECT FROM pause) UNION ALL SELECT * FROM inserted) AS run;
