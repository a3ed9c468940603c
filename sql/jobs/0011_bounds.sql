-- Bounds on what a run may take, and counts that tell one kind of trouble from another.

ALTER TABLE job_runs
    ADD COLUMN ends_by timestamptz,                            -- set by the first claim; the sweep fails what is live then
    ADD COLUMN lost_in_total integer NOT NULL DEFAULT 0,       -- lost slices, also of those that moved the cursor
    ADD COLUMN failed_attempts jsonb NOT NULL DEFAULT '{}';    -- exceptions in a row without moving the cursor, by policy
COMMENT ON COLUMN job_runs.failures IS 'Not read any longer: failed_attempts counts by policy.';
