-- The stored lines of a run after line :after. The first row may also hold earlier lines.
SELECT last_line, slice, lines FROM job_run_logs
WHERE run_id = CAST(:run_id AS uuid) AND last_line > CAST(:after AS bigint)
ORDER BY last_line;
