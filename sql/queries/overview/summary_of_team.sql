-- For each project and type: its days, its newest completed, failed and live run. A project has one live run of a type
-- at a time, so its newest run is also the one that ended last. The newest run of a project that has moved here may be
-- of its earlier team, which is not shown. Days are [day, completed, failed, cancelled, took, waited], with the day
-- counted from first_day. Endings that the sweep has yet to count are read from the runs: at_most of all teams, the oldest
-- first. If that leaves some out, counted_until is the time until which they are counted.
WITH recent AS MATERIALIZED (
    SELECT * FROM job_endings
    WHERE completed_at > (SELECT counted_until FROM job_sweep)
    ORDER BY completed_at LIMIT CAST(:at_most AS integer)
), counted AS (
    SELECT project_id, job_type,
           jsonb_agg(jsonb_build_array(day - CAST(:first_day AS date), completed, failed, cancelled, took, waited))
               AS days
    FROM (
        SELECT project_id, job_type, day, completed, failed, cancelled, took, waited
        FROM job_days WHERE team_id = CAST(:team_id AS uuid) AND day >= CAST(:first_day AS date)
        UNION ALL
        SELECT project_id, job_type, day, CAST(status = 'completed' AS integer), CAST(status = 'failed' AS integer),
               CAST(status = 'cancelled' AS integer), CASE WHEN took IS NULL THEN '{}' ELSE jsonb_build_object(took, 1) END,
               CASE WHEN waited IS NULL THEN '{}' ELSE jsonb_build_object(waited, 1) END
        FROM recent WHERE team_id = CAST(:team_id AS uuid) AND day >= CAST(:first_day AS date)
    ) AS each_day
    GROUP BY project_id, job_type
), home AS MATERIALIZED (
    SELECT id, name FROM projects
    WHERE team_id = CAST(:team_id AS uuid) AND deleted_at IS NULL
      AND (CAST(:project_id AS uuid) IS NULL OR id = CAST(:project_id AS uuid))
    ORDER BY name, id LIMIT CAST(:projects AS integer)
)
SELECT home.id AS project_id, home.name AS project_name, wanted.job_type, counted.days,
       completed.id AS completed_id, completed.completed_at AS last_completed_at,
       failed.id AS failed_id, failed.completed_at AS last_failed_at, failed.error,
       live.id AS live_id, live.status AS live_status, live.progress AS live_progress, recently.counted_until
FROM home CROSS JOIN unnest(CAST(:job_types AS text[])) AS wanted (job_type)
CROSS JOIN (
    SELECT CASE WHEN count(*) = CAST(:at_most AS integer) THEN max(completed_at) END AS counted_until FROM recent
) AS recently
LEFT JOIN counted ON counted.project_id = home.id AND counted.job_type = wanted.job_type
LEFT JOIN LATERAL (
    SELECT * FROM (
        SELECT id, team_id, completed_at FROM job_runs
        WHERE project_id = home.id AND job_type = wanted.job_type AND status = 'completed' AND completed_at IS NOT NULL
        ORDER BY created_at DESC, id DESC LIMIT 1
    ) AS newest WHERE team_id = CAST(:team_id AS uuid)
) AS completed ON true
LEFT JOIN LATERAL (
    SELECT * FROM (
        SELECT id, team_id, completed_at, left(error, 500) AS error FROM job_runs
        WHERE project_id = home.id AND job_type = wanted.job_type AND status = 'failed' AND completed_at IS NOT NULL
        ORDER BY created_at DESC, id DESC LIMIT 1
    ) AS newest WHERE team_id = CAST(:team_id AS uuid)
) AS failed ON true
LEFT JOIN job_runs_public live
    ON live.project_id = home.id AND live.job_type = wanted.job_type AND live.completed_at IS NULL
ORDER BY home.name, home.id, wanted.job_type;
