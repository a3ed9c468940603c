-- Callers who make, rotate and end keys of one team take turns: none passes the limit, and an ended key makes no other.
SELECT pg_advisory_xact_lock(hashtextextended('agent keys of ' || CAST(:team_id AS text), 0)) IS NULL AS waited;
