-- The lines of each run that ended this much before the sweep began are counted.
UPDATE job_sweep
SET logs_until = greatest(logs_until, least(CAST(:now AS timestamptz), clock_timestamp())
                                      - make_interval(secs => CAST(:late_s AS float8)));
