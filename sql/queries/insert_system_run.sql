-- One row: the new run (its id is :id), or the live one that stands in the way. The no-op DO UPDATE brings that one
-- back in a race, too (insert_run.sql). No row: the type is paused.
INSERT INTO job_runs AS run (id, job_type, triggered_by, params, resend_at)
SELECT CAST(:id AS uuid), CAST(:job_type AS text), CAST(:triggered_by AS text), CAST(:params AS jsonb),
       clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8))
WHERE NOT EXISTS (SELECT FROM job_pauses WHERE job_type = CAST(:job_type AS text) AND what = 'type')
ON CONFLICT (job_type, project_id) WHERE status IN ('pending', 'running') DO UPDATE SET status = run.status
RETURNING id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
          completed_at, created_at, slice;
