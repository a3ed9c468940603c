-- Scheduled job types that have not succeeded for longer than expected.
SELECT job_type AS key FROM job_successes
WHERE overdue_at <= statement_timestamp()
ORDER BY overdue_at LIMIT CAST(:at_most AS integer);
