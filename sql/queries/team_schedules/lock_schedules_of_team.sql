-- Callers who add schedules to one team at the same time take turns, so that none passes the limit.
SELECT pg_advisory_xact_lock(hashtextextended('schedules of ' || CAST(:team_id AS text), 0)) IS NULL AS waited;
