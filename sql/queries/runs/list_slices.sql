-- The newest slices, the oldest of them first.
SELECT slice, request_id, started_at, ended_at, outcome, reason, wait_s, processed
FROM (SELECT * FROM job_timeline WHERE run_id = CAST(:run_id AS uuid)
      ORDER BY slice DESC LIMIT CAST(:at_most AS integer)) AS newest
ORDER BY slice;
