-- Mails without a run whose retention time is over.
SELECT CAST(id AS text) AS key FROM job_outbox
WHERE ended_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8)) AND run_id IS NULL
ORDER BY ended_at LIMIT CAST(:at_most AS integer);
