-- The newest slices, the oldest of them first. The last one is open while a worker holds the run.
SELECT slice, request_id, started_at, ended_at, outcome, reason, wait_s, processed
FROM (
    (SELECT slice, request_id, started_at, ended_at, outcome, reason, wait_s, processed
     FROM job_slices WHERE run_id = CAST(:run_id AS uuid) ORDER BY slice DESC LIMIT CAST(:at_most AS integer))
    UNION ALL
    SELECT slice, request_id, slice_started_at, NULL, NULL, abandoned_because, NULL, NULL
    FROM job_runs WHERE id = CAST(:run_id AS uuid) AND lease_expires_at IS NOT NULL
    ORDER BY slice DESC LIMIT CAST(:at_most AS integer)
) AS newest
ORDER BY slice;
