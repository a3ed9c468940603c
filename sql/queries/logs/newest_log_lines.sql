-- The rows that hold a run's newest lines, the newest of them first: each row holds at least one line.
SELECT last_line, slice, lines FROM job_run_logs
WHERE run_id = CAST(:run_id AS uuid)
ORDER BY last_line DESC LIMIT CAST(:at_most AS integer);
