SELECT slice, request_id, started_at, ended_at, outcome, reason, wait_s, processed
FROM job_slices WHERE run_id = CAST(:run_id AS uuid) ORDER BY slice;
