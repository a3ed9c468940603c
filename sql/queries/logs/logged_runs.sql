-- Ended runs with log lines that are not yet counted, the oldest first: up to those whose endings may still commit late,
-- and runs that were set aside.
WITH ended AS MATERIALIZED (
    SELECT id FROM job_runs
    WHERE completed_at > (SELECT logs_until FROM job_sweep)
      AND completed_at <= CAST(:now AS timestamptz) - make_interval(secs => CAST(:late_s AS float8))
    UNION
    SELECT CAST(key AS uuid) FROM job_set_aside WHERE healer = 'logs' AND key <> ''
)
SELECT CAST(run.id AS text) AS key
FROM ended JOIN job_runs run ON run.id = ended.id
WHERE run.logged_lines IS NOT NULL AND run.team_id IS NOT NULL
ORDER BY run.completed_at LIMIT CAST(:at_most AS integer);
