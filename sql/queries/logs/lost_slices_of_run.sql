-- The newest slices of a run whose workers were lost: their last lines are not stored.
SELECT slice FROM job_timeline
WHERE run_id = CAST(:run_id AS uuid) AND outcome = 'lost'
ORDER BY slice DESC LIMIT CAST(:at_most AS integer);
