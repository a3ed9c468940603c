-- Limits of a run's duration, and separate counts for different kinds of failure.

ALTER TABLE job_runs
    ADD COLUMN ends_by timestamptz,                            -- set by the first claim; then the sweep fails the run
    ADD COLUMN lost_in_total integer NOT NULL DEFAULT 0,       -- all lost slices, even if the cursor moved
    ADD COLUMN failed_attempts jsonb NOT NULL DEFAULT '{}';    -- exceptions in a row without moving the cursor, by policy
COMMENT ON COLUMN job_runs.failures IS 'Not read any longer: failed_attempts counts by policy.';
