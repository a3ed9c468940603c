-- Any run, including system runs: for the operator, and for callers whose access was already checked.
SELECT *, clock_timestamp() AS now FROM job_runs WHERE id = CAST(:run_id AS uuid);
