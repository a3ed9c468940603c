-- The days of each job type, of all teams and of system jobs, with the sums of their histograms. Endings that the sweep has
-- yet to count are read from the runs, at_most of them. Days are counted from first_day.
WITH each_day AS MATERIALIZED (
    SELECT job_type, day, completed, failed, cancelled, took, waited
    FROM job_days WHERE day >= CAST(:first_day AS date)
    UNION ALL
    SELECT job_type, day, CAST(status = 'completed' AS integer), CAST(status = 'failed' AS integer),
           CAST(status = 'cancelled' AS integer), CASE WHEN took IS NULL THEN '{}' ELSE jsonb_build_object(took, 1) END,
           CASE WHEN waited IS NULL THEN '{}' ELSE jsonb_build_object(waited, 1) END
    FROM (
        SELECT * FROM job_endings
        WHERE completed_at > (SELECT counted_until FROM job_sweep)
        ORDER BY completed_at LIMIT CAST(:at_most AS integer)
    ) AS recent
    WHERE day >= CAST(:first_day AS date)
), lengths AS (
    SELECT job_type, day, jsonb_object_agg(bucket, runs) FILTER (WHERE kind = 'took') AS took,
           jsonb_object_agg(bucket, runs) FILTER (WHERE kind = 'waited') AS waited
    FROM (
        SELECT job_type, day, kind, bucket, sum(CAST(runs AS integer)) AS runs
        FROM each_day, LATERAL (SELECT 'took' AS kind, key, value FROM jsonb_each_text(took)
                                UNION ALL SELECT 'waited', key, value FROM jsonb_each_text(waited))
                           AS length (kind, bucket, runs)
        GROUP BY job_type, day, kind, bucket
    ) AS bucket
    GROUP BY job_type, day
)
SELECT job_type, jsonb_agg(jsonb_build_array(day - CAST(:first_day AS date), completed, failed, cancelled,
                                             coalesce(took, '{}'), coalesce(waited, '{}'))) AS days
FROM (
    SELECT job_type, day, sum(completed) AS completed, sum(failed) AS failed, sum(cancelled) AS cancelled
    FROM each_day GROUP BY job_type, day
) AS counted LEFT JOIN lengths USING (job_type, day)
GROUP BY job_type ORDER BY job_type;
