-- Sessions that have ended by themselves.
SELECT CAST(id AS text) AS key FROM job_sessions WHERE ends_at <= statement_timestamp()
ORDER BY ends_at LIMIT CAST(:at_most AS integer);
