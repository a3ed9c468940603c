-- Mails and events whose message was lost, or whose next attempt is due.
SELECT CAST(id AS text) AS key FROM job_outbox
WHERE send_at <= statement_timestamp()
ORDER BY send_at LIMIT CAST(:at_most AS integer);
