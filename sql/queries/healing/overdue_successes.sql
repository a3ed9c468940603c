-- Scheduled job types that have not succeeded for longer than expected.
SELECT job_type AS key FROM job_successes
WHERE overdue_at <= statement_timestamp() AND job_type <> ALL (CAST(:passed_over AS text[]))
ORDER BY overdue_at LIMIT CAST(:batch AS integer)
FOR NO KEY UPDATE SKIP LOCKED;
