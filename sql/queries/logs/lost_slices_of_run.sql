-- The newest slices of a run whose workers were lost: what these logged last is not stored.
SELECT slice FROM job_slices
WHERE run_id = CAST(:run_id AS uuid) AND outcome = 'lost'
ORDER BY slice DESC LIMIT CAST(:at_most AS integer);
