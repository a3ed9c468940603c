-- Shares of codes of which none is of the last hour.
SELECT key FROM job_sign_in_shares WHERE free_at <= statement_timestamp()
ORDER BY free_at LIMIT CAST(:at_most AS integer);
