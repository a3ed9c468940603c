-- The schedules of teams whose next slot has come, the longest waiting first.
SELECT CAST(id AS text) AS key FROM job_team_schedules
WHERE next_slot <= CAST(:now AS timestamptz)
ORDER BY next_slot LIMIT CAST(:at_most AS integer);
