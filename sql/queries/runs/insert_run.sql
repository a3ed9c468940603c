-- The trigger. Returns one row: the new run (its id is :id); or the earlier run with the same idempotency key; or the
-- live run that stands in the way; or a null id and retry_after_s (otherwise 0), if the team has used up its runs of
-- the last minute.
-- No row: the project does not exist or belongs to another team, the operator or the team has paused the type, or the project has no key of the
-- :provider that the job calls.
-- The row is that of job_runs: the view does not contain a row that its own statement inserts.
-- The progress starts at 0 of :total if the job type says what it counts.
-- The statement looks for a live run before it inserts: ON CONFLICT would wait for the worker that has locked the row,
-- and would leave a dead row behind. Only a race gets that far; the no-op DO UPDATE then returns the winner's row.
WITH earlier AS (
    SELECT * FROM job_runs
    WHERE idempotency_key = CAST(:idempotency_key AS bytea)
      AND created_at > clock_timestamp() - interval '24 hours'
      -- A live run moves with its project to another team, which is not the team in which this key was used.
      AND (completed_at IS NOT NULL OR EXISTS (
               SELECT FROM projects home WHERE home.id = job_runs.project_id AND home.team_id = CAST(:team_id AS uuid)))
), wanted AS (
    SELECT project.team_id, project.id
    FROM projects project JOIN teams team ON team.id = project.team_id
    WHERE project.id = CAST(:project_id AS uuid) AND project.team_id = CAST(:team_id AS uuid)
      AND project.deleted_at IS NULL AND team.deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM earlier)
      AND NOT EXISTS (SELECT FROM job_pauses WHERE job_type = CAST(:job_type AS text) AND what = 'type')
      AND NOT EXISTS (SELECT FROM job_project_pauses held
                      WHERE held.project_id = project.id AND held.job_type = CAST(:job_type AS text)
                        AND (held.until IS NULL OR held.until > statement_timestamp()))
      AND CASE WHEN CAST(:provider AS text) IS NOT NULL THEN EXISTS (
               SELECT FROM project_integrations stored
               WHERE stored.project_id = project.id AND stored.provider = CAST(:provider AS text)
                 AND stored.deleted_at IS NULL AND stored.config ->> 'enabled' IS DISTINCT FROM 'false') ELSE true END
), live AS (
    SELECT * FROM job_runs
    WHERE job_type = CAST(:job_type AS text) AND project_id = CAST(:project_id AS uuid)
      AND completed_at IS NULL AND (SELECT true FROM wanted)
), crowded AS (
    -- A run is possible again when the oldest of the last :runs_per_minute runs is a minute old.
    SELECT greatest(1, CAST(ceil(extract(epoch FROM made.created_at + interval '1 minute' - statement_timestamp()))
                            AS integer)) AS retry_after_s
    FROM wanted, LATERAL (
        SELECT created_at
        FROM (SELECT run.created_at
              FROM unnest(ARRAY['pending', 'running']) AS live (status), LATERAL (
                  SELECT created_at FROM job_runs
                  WHERE team_id = CAST(:team_id AS uuid) AND status = live.status AND completed_at IS NULL
                    AND created_at > statement_timestamp() - interval '1 minute'
                  ORDER BY created_at DESC LIMIT CAST(:runs_per_minute AS integer)) AS run
              UNION ALL
              SELECT run.created_at
              FROM unnest(ARRAY['completed', 'failed', 'cancelled']) AS ended (status), LATERAL (
                  SELECT created_at FROM job_runs
                  WHERE team_id = CAST(:team_id AS uuid) AND status = ended.status AND completed_at IS NOT NULL
                    AND created_at > statement_timestamp() - interval '1 minute'
                  ORDER BY created_at DESC LIMIT CAST(:runs_per_minute AS integer)) AS run) AS newest
        ORDER BY created_at DESC OFFSET CAST(:runs_per_minute AS integer) - 1 LIMIT 1
    ) AS made
    WHERE NOT EXISTS (SELECT FROM live)
), inserted AS (
    INSERT INTO job_runs AS run (id, job_type, team_id, project_id, triggered_by, params, notify,
                                 cursor, cursor_version, progress, rerun_of, idempotency_key, request_hash, resend_at)
    SELECT CAST(:id AS uuid), CAST(:job_type AS text), wanted.team_id, wanted.id, CAST(:triggered_by AS text),
           CAST(:params AS jsonb), CAST(:notify AS boolean), CAST(:cursor AS jsonb), CAST(:cursor_version AS integer),
           coalesce(CAST(:progress AS jsonb), CASE CAST(:total AS text) WHEN 'app_users' THEN jsonb_build_object(
               'processed', 0, 'message', '',
               'total', (SELECT count(*) FROM app_users WHERE project_id = wanted.id)) END),
           CAST(:rerun_of AS uuid),
           CAST(:idempotency_key AS bytea), CAST(:request_hash AS bytea),
           clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8))
    FROM wanted
    WHERE NOT EXISTS (SELECT FROM live) AND NOT EXISTS (SELECT FROM crowded)
    ON CONFLICT (project_id, job_type) WHERE completed_at IS NULL DO UPDATE SET status = run.status
    RETURNING run.*
)
SELECT run.*,
       -- A key is valid for a day, even if its run is still live after that.
       CASE WHEN created_at > clock_timestamp() - interval '24 hours' THEN idempotency_key END AS idempotency_key,
       coalesce(retry_after_s, 0) AS retry_after_s
FROM (SELECT * FROM earlier UNION ALL SELECT * FROM live UNION ALL SELECT * FROM inserted) AS run
FULL JOIN crowded ON true;
