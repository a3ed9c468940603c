-- The Lambda invocations that worked this run: lost ones first, then the newest.
SELECT request_id, outcome IS NOT DISTINCT FROM 'lost' AS is_lost FROM job_timeline
WHERE run_id = CAST(:run_id AS uuid)
ORDER BY outcome IS NOT DISTINCT FROM 'lost' DESC, slice DESC LIMIT CAST(:at_most AS integer);
