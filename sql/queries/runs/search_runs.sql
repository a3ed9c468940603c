-- The ids of the newest runs of a range that match, newest first, among the :most newest runs of the range: nothing says
-- where texts are, so that each run is read. Each row also tells how many runs were looked at, and the last of them. There
-- is a row without an id if none matches.
-- The range is found as in list_runs.sql, from the indexes alone. Texts are compared as they are, without patterns.
WITH live_of_project AS MATERIALIZED (
    SELECT id, team_id, job_type, status, created_at FROM job_runs
    WHERE project_id = CAST(:project_id AS uuid) AND completed_at IS NULL
), newest AS MATERIALIZED (
    SELECT id, created_at
    FROM (
        SELECT run.*
        FROM unnest(ARRAY['pending', 'running']) AS live (status), LATERAL (
            SELECT job_runs.id, job_runs.created_at FROM job_runs JOIN projects home ON home.id = project_id
            WHERE job_runs.team_id = CAST(:team_id AS uuid) AND status = live.status AND completed_at IS NULL
              AND home.team_id = CAST(:team_id AS uuid)
              AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
              AND (CAST(:since AS timestamptz) IS NULL OR job_runs.created_at >= CAST(:since AS timestamptz))
              AND (CAST(:before_created_at AS timestamptz) IS NULL OR
                   (job_runs.created_at, job_runs.id)
                   < (CAST(:before_created_at AS timestamptz), CAST(:before_id AS uuid)))
            ORDER BY job_runs.created_at DESC, job_runs.id DESC LIMIT CAST(:most AS integer)
        ) AS run
        WHERE CAST(:project_id AS uuid) IS NULL
          AND (CAST(:statuses AS text[]) IS NULL OR live.status = ANY (CAST(:statuses AS text[])))
        UNION ALL
        SELECT id, created_at FROM live_of_project
        WHERE team_id = CAST(:team_id AS uuid)
          AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
          AND (CAST(:statuses AS text[]) IS NULL OR status = ANY (CAST(:statuses AS text[])))
          AND (CAST(:since AS timestamptz) IS NULL OR created_at >= CAST(:since AS timestamptz))
          AND (CAST(:before_created_at AS timestamptz) IS NULL OR
               (created_at, id) < (CAST(:before_created_at AS timestamptz), CAST(:before_id AS uuid)))
        UNION ALL
        SELECT run.*
        FROM unnest(ARRAY['completed', 'failed', 'cancelled']) AS ended (status), LATERAL (
            SELECT id, created_at FROM job_runs
            WHERE team_id = CAST(:team_id AS uuid) AND status = ended.status AND completed_at IS NOT NULL
              AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
              AND (CAST(:project_id AS uuid) IS NULL OR project_id = CAST(:project_id AS uuid))
              AND (CAST(:since AS timestamptz) IS NULL OR created_at >= CAST(:since AS timestamptz))
              AND (CAST(:before_created_at AS timestamptz) IS NULL OR
                   (created_at, id) < (CAST(:before_created_at AS timestamptz), CAST(:before_id AS uuid)))
            ORDER BY created_at DESC, id DESC LIMIT CAST(:most AS integer)
        ) AS run
        WHERE CAST(:statuses AS text[]) IS NULL OR ended.status = ANY (CAST(:statuses AS text[]))
    ) AS run
    WHERE CAST(:project_id AS uuid) IS NULL
       OR (SELECT true FROM projects WHERE id = CAST(:project_id AS uuid) AND team_id = CAST(:team_id AS uuid))
    ORDER BY created_at DESC, id DESC
    LIMIT CAST(:most AS integer)
)
SELECT CAST(found.id AS text) AS id, looked.runs AS looked_at, last.created_at AS last_created_at,
       CAST(last.id AS text) AS last_id
FROM (SELECT count(*) AS runs FROM newest) AS looked
LEFT JOIN LATERAL (SELECT id, created_at FROM newest ORDER BY created_at, id LIMIT 1) AS last ON true
LEFT JOIN LATERAL (
    SELECT newest.id, newest.created_at
    FROM newest JOIN job_runs run ON run.id = newest.id
    WHERE (CAST(:triggered_by AS text) IS NULL OR run.triggered_by = CAST(:triggered_by AS text))
      AND (CAST(:error AS text) IS NULL OR strpos(lower(run.error), lower(CAST(:error AS text))) > 0)
      AND (CAST(:params AS text) IS NULL
           OR strpos(lower(CAST(run.params - 'project_id' AS text)), lower(CAST(:params AS text))) > 0)
      AND (CAST(:param_name AS text) IS NULL
           OR lower(run.params ->> CAST(:param_name AS text)) = lower(CAST(:param_value AS text)))
    ORDER BY newest.created_at DESC, newest.id DESC
    LIMIT CAST(:limit AS integer)
) AS found ON true
ORDER BY found.created_at DESC, found.id DESC;
