-- The cut-off is read once a run: what comes over due meanwhile is the next run's.
WITH due AS (SELECT clock_timestamp() - make_interval(days => CAST(:days AS integer)) AS cutoff)
SELECT CAST(cutoff AS text) AS cutoff, cleanup_estimate(cutoff) AS estimate FROM due;
