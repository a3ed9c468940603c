-- Entries of the audit that are a year old.
SELECT CAST(id AS text) AS key FROM job_audit_entries
WHERE occurred_at <= statement_timestamp() - interval '365 days'
ORDER BY occurred_at LIMIT CAST(:at_most AS integer);
