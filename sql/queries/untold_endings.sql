-- One row: how many runs ended without having told it, and the one that has waited longest.
SELECT count(*) AS untold, CAST((array_agg(id ORDER BY completed_at))[1] AS text) AS run_id,
       (array_agg(untold ORDER BY completed_at))[1] AS error,
       CAST(extract(epoch FROM clock_timestamp() - min(completed_at)) AS float8) AS oldest_s
FROM job_runs WHERE untold IS NOT NULL;
