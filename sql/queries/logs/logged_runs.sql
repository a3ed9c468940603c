-- Ended runs with log lines that are not yet counted, up to those whose endings may still commit late.
SELECT CAST(run.id AS text) AS key
FROM job_sweep, job_runs run
WHERE run.completed_at > job_sweep.logs_until
  AND run.completed_at <= CAST(:now AS timestamptz) - make_interval(secs => CAST(:late_s AS float8))
  AND run.logged_lines IS NOT NULL AND run.team_id IS NOT NULL
ORDER BY run.completed_at LIMIT CAST(:at_most AS integer);
