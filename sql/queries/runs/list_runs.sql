-- The newest runs of each status, merged: each status is one range of an index. Planned with its values, so an absent
-- filter folds away, and each combination of filters finds its own index. The row comparison is an index condition, so a
-- deep page costs as much as the first. The project is looked up first: the indexes that begin with it contain the runs
-- of every team that has owned it, and another team's history is never read. A live run whose project has moved belongs
-- to the new team (get_run.sql); the sweep updates its team_id within a minute.
WITH live_of_project AS MATERIALIZED (
    -- At most one of each type. The planner takes them for many, and would look for them among all live runs of the team.
    SELECT * FROM job_runs_public WHERE project_id = CAST(:project_id AS uuid) AND completed_at IS NULL
)
SELECT *
FROM (
    SELECT run.*
    FROM unnest(ARRAY['pending', 'running']) AS live (status), LATERAL (
        SELECT job_runs.* FROM job_runs_public AS job_runs JOIN projects home ON home.id = project_id
        WHERE job_runs.team_id = CAST(:team_id AS uuid) AND status = live.status AND completed_at IS NULL
          AND home.team_id = CAST(:team_id AS uuid)
          AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
          AND (CAST(:since AS timestamptz) IS NULL OR job_runs.created_at >= CAST(:since AS timestamptz))
          AND (CAST(:before_created_at AS timestamptz) IS NULL OR
               (job_runs.created_at, job_runs.id) < (CAST(:before_created_at AS timestamptz), CAST(:before_id AS uuid)))
        ORDER BY job_runs.created_at DESC, job_runs.id DESC LIMIT CAST(:limit AS integer)
    ) AS run
    WHERE CAST(:project_id AS uuid) IS NULL
      AND (CAST(:statuses AS text[]) IS NULL OR live.status = ANY (CAST(:statuses AS text[])))
    UNION ALL
    SELECT * FROM live_of_project
    WHERE team_id = CAST(:team_id AS uuid)
      AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
      AND (CAST(:statuses AS text[]) IS NULL OR status = ANY (CAST(:statuses AS text[])))
      AND (CAST(:since AS timestamptz) IS NULL OR created_at >= CAST(:since AS timestamptz))
      AND (CAST(:before_created_at AS timestamptz) IS NULL OR
           (created_at, id) < (CAST(:before_created_at AS timestamptz), CAST(:before_id AS uuid)))
    UNION ALL
    SELECT run.*
    FROM unnest(ARRAY['completed', 'failed', 'cancelled']) AS ended (status), LATERAL (
        SELECT * FROM job_runs_public
        WHERE team_id = CAST(:team_id AS uuid) AND status = ended.status AND completed_at IS NOT NULL
          AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
          AND (CAST(:project_id AS uuid) IS NULL OR project_id = CAST(:project_id AS uuid))
          AND (CAST(:since AS timestamptz) IS NULL OR created_at >= CAST(:since AS timestamptz))
          AND (CAST(:before_created_at AS timestamptz) IS NULL OR
               (created_at, id) < (CAST(:before_created_at AS timestamptz), CAST(:before_id AS uuid)))
        ORDER BY created_at DESC, id DESC LIMIT CAST(:limit AS integer)
    ) AS run
    WHERE CAST(:statuses AS text[]) IS NULL OR ended.status = ANY (CAST(:statuses AS text[]))
) AS run
WHERE CAST(:project_id AS uuid) IS NULL
   OR (SELECT true FROM projects WHERE id = CAST(:project_id AS uuid) AND team_id = CAST(:team_id AS uuid))
ORDER BY created_at DESC, id DESC
LIMIT CAST(:limit AS integer);
