-- Ended runs whose retention time is over. A run with unwritten or unsent mails or events is kept, also while a digest
-- reports it.
SELECT CAST(id AS text) AS key FROM job_runs AS run
WHERE untold IS NULL
  AND NOT EXISTS (
      SELECT FROM job_outbox mail LEFT JOIN job_outbox digest ON digest.id = mail.digest_id
      WHERE mail.run_id = run.id AND (mail.send_at IS NOT NULL OR digest.send_at IS NOT NULL))
  AND completed_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8))
ORDER BY completed_at LIMIT CAST(:at_most AS integer);
