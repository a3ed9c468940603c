-- The schedules of teams, how many of them should have been decided by now, and since when the oldest of these is due.
SELECT count(*) AS schedules, count(*) FILTER (WHERE next_slot <= statement_timestamp() - interval '5 minutes') AS late,
       CAST(extract(epoch FROM statement_timestamp() - min(next_slot)) AS float8) AS oldest_s
FROM job_team_schedules WHERE next_slot IS NOT NULL;
