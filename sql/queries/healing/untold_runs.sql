-- Ended runs whose mails, event or success could not be written when they ended.
SELECT CAST(id AS text) AS key FROM job_runs
WHERE untold IS NOT NULL AND id <> ALL (CAST(:passed_over AS uuid[]))
ORDER BY completed_at LIMIT CAST(:batch AS integer)
FOR NO KEY UPDATE SKIP LOCKED;
