-- Adds the next endings to the days. One session at a time, because it holds the row that says how far they are counted;
-- that row moves in the same statement, so an ending is counted once. An ending commits at most late_s after its
-- completed_at. Endings of the same millisecond are counted together (WITH TIES).
WITH sweep AS (
    SELECT only_row, counted_until FROM job_sweep FOR UPDATE SKIP LOCKED
), ended AS MATERIALIZED (
    SELECT ending.*
    FROM sweep, LATERAL (
        SELECT * FROM job_endings
        WHERE completed_at > sweep.counted_until
          AND completed_at <= statement_timestamp() - make_interval(secs => CAST(:late_s AS float8))
        ORDER BY completed_at FETCH FIRST CAST(:at_most AS integer) ROWS WITH TIES
    ) AS ending
), days AS (
    SELECT team_id, project_id, job_type, day, count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled
    FROM ended GROUP BY team_id, project_id, job_type, day
), lengths AS (
    SELECT team_id, project_id, job_type, day,
           coalesce(jsonb_object_agg(bucket, runs) FILTER (WHERE kind = 'took'), '{}') AS took,
           coalesce(jsonb_object_agg(bucket, runs) FILTER (WHERE kind = 'waited'), '{}') AS waited
    FROM (
        SELECT team_id, project_id, job_type, day, kind, bucket, count(*) AS runs
        FROM ended, LATERAL (VALUES ('took', took), ('waited', waited)) AS length (kind, bucket)
        WHERE bucket IS NOT NULL
        GROUP BY team_id, project_id, job_type, day, kind, bucket
    ) AS bucket
    GROUP BY team_id, project_id, job_type, day
), added AS (
    INSERT INTO job_days AS known (team_id, project_id, job_type, day, completed, failed, cancelled, took, waited)
    SELECT days.team_id, days.project_id, days.job_type, days.day, completed, failed, cancelled,
           coalesce(took, '{}'), coalesce(waited, '{}')
    FROM days LEFT JOIN lengths
        ON lengths.job_type = days.job_type AND lengths.day = days.day
       AND lengths.project_id IS NOT DISTINCT FROM days.project_id
       AND lengths.team_id IS NOT DISTINCT FROM days.team_id
    ON CONFLICT (project_id, day, job_type, team_id) DO UPDATE
        SET completed = known.completed + excluded.completed, failed = known.failed + excluded.failed,
            cancelled = known.cancelled + excluded.cancelled,
            took = (SELECT coalesce(jsonb_object_agg(key, runs), '{}')
                    FROM (SELECT key, sum(CAST(value AS integer)) AS runs
                          FROM (SELECT * FROM jsonb_each_text(known.took)
                                UNION ALL SELECT * FROM jsonb_each_text(excluded.took)) AS both_of_them
                          GROUP BY key) AS added),
            waited = (SELECT coalesce(jsonb_object_agg(key, runs), '{}')
                      FROM (SELECT key, sum(CAST(value AS integer)) AS runs
                            FROM (SELECT * FROM jsonb_each_text(known.waited)
                                  UNION ALL SELECT * FROM jsonb_each_text(excluded.waited)) AS both_of_them
                            GROUP BY key) AS added)
)
UPDATE job_sweep
SET counted_until = CASE WHEN found.runs < CAST(:at_most AS integer)
                         THEN greatest(job_sweep.counted_until,
                                       statement_timestamp() - make_interval(secs => CAST(:late_s AS float8)))
                         ELSE found.until END
FROM sweep, (SELECT count(*) AS runs, max(completed_at) AS until FROM ended) AS found
WHERE job_sweep.only_row = sweep.only_row
RETURNING found.runs AS counted, found.runs >= CAST(:at_most AS integer) AS more;
