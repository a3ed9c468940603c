-- A key is valid for 24 hours, and while its live run's project belongs to the team in which it was used. Afterwards it
-- may identify a new run.
UPDATE job_runs SET idempotency_key = NULL, request_hash = NULL
WHERE idempotency_key = CAST(:idempotency_key AS bytea)
  AND (created_at <= clock_timestamp() - interval '24 hours'
       OR completed_at IS NULL AND NOT EXISTS (
           SELECT FROM projects home WHERE home.id = job_runs.project_id AND home.team_id = job_runs.team_id));
