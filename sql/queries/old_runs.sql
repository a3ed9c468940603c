-- Ended runs that have been kept long enough. One with something still to be told or sent stays.
SELECT CAST(id AS text) AS key FROM job_runs AS run
WHERE NOT EXISTS (SELECT FROM job_outbox WHERE run_id = run.id AND send_at IS NOT NULL) AND untold IS NULL
  AND completed_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8))
  AND id <> ALL (CAST(:passed_over AS uuid[]))
ORDER BY completed_at LIMIT CAST(:batch AS integer)
FOR NO KEY UPDATE SKIP LOCKED;
