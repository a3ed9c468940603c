-- Codes and links that have expired.
SELECT CAST(id AS text) AS key FROM job_sign_ins WHERE expires_at <= statement_timestamp()
ORDER BY expires_at LIMIT CAST(:at_most AS integer);
