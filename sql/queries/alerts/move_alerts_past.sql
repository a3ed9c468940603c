-- These runs were looked at, from the oldest on: so each one that ended this much before the newest of them has been
-- looked at, or set aside. Runs of which no alert tells must not keep a full sweep from the runs after them for ever.
UPDATE job_sweep
SET alerts_until = greatest(alerts_until, least(clock_timestamp(), newest.completed_at)
                                          - make_interval(secs => CAST(:late_s AS float8)))
FROM (SELECT max(completed_at) AS completed_at FROM job_runs WHERE id = ANY (CAST(:keys AS uuid[]))) AS newest
WHERE newest.completed_at IS NOT NULL;
