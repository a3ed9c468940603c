-- One row: the number of ended runs whose mails, event or success are not written, and the oldest of them.
SELECT count(*) AS untold, CAST((array_agg(id ORDER BY completed_at))[1] AS text) AS run_id,
       (array_agg(untold ORDER BY completed_at))[1] AS error,
       CAST(extract(epoch FROM clock_timestamp() - min(completed_at)) AS float8) AS oldest_s
FROM job_runs WHERE untold IS NOT NULL;
