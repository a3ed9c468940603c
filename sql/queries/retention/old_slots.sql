-- Slots of schedules whose retention time is over. Their key is the job type and the time in seconds.
SELECT job_type || ' ' || CAST(extract(epoch FROM slot) AS text) AS key FROM job_schedule_slots
WHERE decided_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8))
  AND job_type || ' ' || CAST(extract(epoch FROM slot) AS text) <> ALL (CAST(:passed_over AS text[]))
ORDER BY decided_at LIMIT CAST(:batch AS integer);
