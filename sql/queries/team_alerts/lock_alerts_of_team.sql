-- Callers who add alerts to one team at the same time take turns, so that none passes a limit.
SELECT pg_advisory_xact_lock(hashtextextended('alerts of ' || CAST(:team_id AS text), 0)) IS NULL AS waited;
