-- Deliveries whose retention time is over.
SELECT CAST(id AS text) AS key FROM job_alert_deliveries
WHERE created_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8))
ORDER BY created_at LIMIT CAST(:at_most AS integer);
