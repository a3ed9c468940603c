-- Each run that ended this much before the sweep began has been looked at, or set aside.
UPDATE job_sweep
SET alerts_until = greatest(alerts_until, least(CAST(:now AS timestamptz), clock_timestamp())
                                          - make_interval(secs => CAST(:late_s AS float8)));
