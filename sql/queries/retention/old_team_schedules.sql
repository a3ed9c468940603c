-- Schedules that started once, and whose retention time is over.
SELECT CAST(id AS text) AS key FROM job_team_schedules
WHERE run_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8)) AND next_slot IS NULL
ORDER BY run_at LIMIT CAST(:at_most AS integer);
