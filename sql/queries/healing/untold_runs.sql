-- Ended runs whose mails, event or success could not be written when they ended.
SELECT CAST(id AS text) AS key FROM job_runs
WHERE untold IS NOT NULL
ORDER BY completed_at LIMIT CAST(:at_most AS integer);
