-- The Lambda invocations that worked this run: lost ones first, then the newest.
SELECT request_id, is_lost
FROM (
    SELECT slice, request_id, outcome = 'lost' AS is_lost FROM job_slices WHERE run_id = CAST(:run_id AS uuid)
    UNION ALL
    SELECT slice, request_id, false FROM job_runs WHERE id = CAST(:run_id AS uuid) AND lease_expires_at IS NOT NULL
) AS worked
ORDER BY is_lost DESC, slice DESC LIMIT CAST(:at_most AS integer);
