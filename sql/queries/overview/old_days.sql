-- Days of the overview that are no longer kept.
SELECT CAST(id AS text) AS key FROM job_days
WHERE day < CAST(statement_timestamp() AT TIME ZONE 'UTC' AS date) - 30
ORDER BY day LIMIT CAST(:at_most AS integer);
