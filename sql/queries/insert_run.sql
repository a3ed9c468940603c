-- The trigger. Returns one row: the new run (its id is :id), the run made earlier under the same idempotency key, or
-- the live run that stands in the way. No row: the project is not there or not this team's, or the type is paused.
-- The bar stands at 0 of :total from the start, where the job type says what it counts.
-- The no-op DO UPDATE is what brings the winner of a race back: DO NOTHING plus a SELECT can return neither.
WITH earlier AS (
    SELECT * FROM job_runs
    WHERE idempotency_key = CAST(:idempotency_key AS bytea)
      AND created_at > clock_timestamp() - interval '24 hours'
), inserted AS (
    INSERT INTO job_runs AS run (id, job_type, team_id, project_id, triggered_by, params, notify,
                                 cursor, cursor_version, progress, rerun_of, idempotency_key, request_hash, resend_at)
    SELECT CAST(:id AS uuid), CAST(:job_type AS text), project.team_id, project.id, CAST(:triggered_by AS text),
           CAST(:params AS jsonb), CAST(:notify AS boolean), CAST(:cursor AS jsonb), CAST(:cursor_version AS integer),
           coalesce(CAST(:progress AS jsonb), CASE CAST(:total AS text) WHEN 'app_users' THEN jsonb_build_object(
               'processed', 0, 'message', '',
               'total', (SELECT count(*) FROM app_users WHERE project_id = project.id)) END),
           CAST(:rerun_of AS uuid),
           CAST(:idempotency_key AS bytea), CAST(:request_hash AS bytea),
           clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8))
    FROM projects project JOIN teams team ON team.id = project.team_id
    WHERE project.id = CAST(:project_id AS uuid) AND project.team_id = CAST(:team_id AS uuid)
      AND project.deleted_at IS NULL AND team.deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM earlier)
      AND NOT EXISTS (SELECT FROM job_pauses WHERE job_type = CAST(:job_type AS text) AND what = 'type')
    ON CONFLICT (job_type, project_id) WHERE status IN ('pending', 'running') DO UPDATE SET status = run.status
    RETURNING run.*
)
SELECT id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
       completed_at, created_at, slice, request_hash, waiting_for,
       -- A key is good for a day, also where its run is still live after that.
       CASE WHEN created_at > clock_timestamp() - interval '24 hours' THEN idempotency_key END AS idempotency_key
FROM (SELECT * FROM earlier UNION ALL SELECT * FROM inserted) AS run;
