-- Runs of every team: first the live ones, newest first, then those that ended last. No index begins with the type or the
-- status of all teams' runs, so these filters apply to the :ended_through runs that ended last, and to :look_through live
-- ones. Only failed runs have an index of their own.
WITH live AS (
    SELECT id, 0 AS half, created_at AS moment
    FROM (SELECT * FROM job_runs
          WHERE completed_at IS NULL AND coalesce(CAST(:status AS text) IN ('pending', 'running'), true)
          LIMIT CAST(:look_through AS integer)) AS found
    WHERE (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
      AND (CAST(:status AS text) IS NULL OR status = CAST(:status AS text))
    ORDER BY created_at DESC LIMIT CAST(:limit AS integer)
), ended AS (
    SELECT id, 1 AS half, completed_at AS moment
    FROM (SELECT * FROM job_runs
          WHERE completed_at IS NOT NULL AND coalesce(CAST(:status AS text) NOT IN ('pending', 'running'), true)
            AND (CAST(:status AS text) IS DISTINCT FROM 'failed' OR status = 'failed')
          ORDER BY completed_at DESC LIMIT CAST(:ended_through AS integer)) AS found
    WHERE (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
      AND (CAST(:status AS text) IS NULL OR status = CAST(:status AS text))
    ORDER BY completed_at DESC LIMIT CAST(:limit AS integer)
)
SELECT run.*, team.name AS team, project.name AS project
FROM (SELECT * FROM (SELECT * FROM live UNION ALL SELECT * FROM ended) AS both_halves
      ORDER BY half, moment DESC LIMIT CAST(:limit AS integer)) AS listed
    JOIN job_runs_public run ON run.id = listed.id
    LEFT JOIN teams team ON team.id = run.team_id
    LEFT JOIN projects project ON project.id = run.project_id
ORDER BY listed.half, listed.moment DESC;
