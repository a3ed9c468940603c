-- Slots of teams' schedules whose retention time is over. Their key is the schedule and the time in seconds.
SELECT schedule_id || ' ' || CAST(extract(epoch FROM slot) AS text) AS key FROM job_team_slots
WHERE decided_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8))
ORDER BY decided_at LIMIT CAST(:at_most AS integer);
