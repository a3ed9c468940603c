-- One row: how many of the teams' runs that ended in the period failed, and how many of these recently. Of the failed
-- runs whose project has had no success of the type since: the number of teams, the number of system errors, and the
-- most common error. Both counts stop at ten thousand, because health must stay fast.
WITH failed AS MATERIALIZED (
    SELECT id, job_type, team_id, project_id, error, completed_at, created_at
    FROM job_runs
    WHERE status = 'failed' AND project_id IS NOT NULL
      AND completed_at > statement_timestamp() - make_interval(secs => CAST(:within_s AS float8))
    ORDER BY completed_at DESC LIMIT 10000
), standing AS MATERIALIZED (
    SELECT * FROM failed
    WHERE NOT EXISTS (SELECT FROM job_runs later
                      WHERE later.project_id = failed.project_id AND later.job_type = failed.job_type
                        AND later.status = 'completed' AND later.completed_at IS NOT NULL
                        AND later.created_at > failed.created_at)
), commonest AS (
    SELECT job_type, error, count(*) AS with_error, CAST((array_agg(id ORDER BY completed_at DESC))[1] AS text) AS run_id
    FROM standing GROUP BY job_type, error ORDER BY count(*) DESC, max(completed_at) DESC LIMIT 1
), ended AS (
    SELECT count(*) AS ended
    FROM (SELECT FROM job_runs
          WHERE completed_at > statement_timestamp() - make_interval(secs => CAST(:within_s AS float8))
            AND project_id IS NOT NULL
          LIMIT 10000) AS newest
)
SELECT (SELECT count(*) FROM failed) AS failed, ended.ended, ended.ended < 10000 AS ended_is_all,
       (SELECT count(*) FROM failed
        WHERE completed_at > statement_timestamp() - make_interval(secs => CAST(:lately_s AS float8))) AS lately,
       (SELECT count(DISTINCT team_id) FROM standing) AS teams,
       (SELECT count(*) FROM standing WHERE error ~ CAST(:of_the_system AS text)) AS of_the_system,
       commonest.job_type, commonest.error, coalesce(commonest.with_error, 0) AS with_error, commonest.run_id
FROM ended LEFT JOIN commonest ON true;
