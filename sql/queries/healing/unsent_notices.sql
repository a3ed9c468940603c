-- Mails and events whose message was lost, or whose next attempt is due.
SELECT CAST(id AS text) AS key FROM job_outbox
WHERE send_at <= statement_timestamp() AND id <> ALL (CAST(:passed_over AS uuid[]))
ORDER BY send_at LIMIT CAST(:batch AS integer)
FOR NO KEY UPDATE SKIP LOCKED;
