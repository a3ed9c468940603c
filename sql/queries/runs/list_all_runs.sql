-- Runs of every team: first the live ones, newest first, then those that ended last. Both halves use the order of an
-- index that exists for other queries, so a million old runs do not slow this down.
WITH live AS (
    SELECT *, 0 AS half, created_at AS moment FROM job_runs_public
    WHERE completed_at IS NULL
      AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
      AND (CAST(:status AS text) IS NULL OR status = CAST(:status AS text))
    ORDER BY created_at DESC LIMIT CAST(:limit AS integer)
), ended AS (
    SELECT *, 1 AS half, completed_at AS moment FROM job_runs_public
    WHERE completed_at IS NOT NULL
      AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
      AND (CAST(:status AS text) IS NULL OR status = CAST(:status AS text))
    ORDER BY completed_at DESC LIMIT CAST(:limit AS integer)
)
SELECT run.*, team.name AS team, project.name AS project
FROM (SELECT * FROM live UNION ALL SELECT * FROM ended) AS run
    LEFT JOIN teams team ON team.id = run.team_id
    LEFT JOIN projects project ON project.id = run.project_id
ORDER BY run.half, run.moment DESC
LIMIT CAST(:limit AS integer);
