-- Callers who make or confirm bulk actions of one team at the same time take turns, so that none passes a limit.
SELECT pg_advisory_xact_lock(hashtextextended('bulk actions of ' || CAST(:team_id AS text), 0)) IS NULL AS waited;
