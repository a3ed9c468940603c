-- A job type may declare how many of its runs work at once (at_once). Each working slice of such a type holds a place,
-- which a claim takes in its own transaction. A place whose time is over is free: its worker is dead.
CREATE TABLE job_places (
    job_type     text NOT NULL,
    place        integer NOT NULL,                -- from 1 to the cap; those above a cap that was lowered are not used
    run_id       uuid,                            -- the run that works, goes on with its next slice, or is called next
    slice        integer,                         -- the slice that works; null: the place is kept for the run
    taken_until  timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (job_type, place)
);
COMMENT ON TABLE job_places IS 'The places of job types of which only some runs work at once. Other types have none.';

-- A run without a place is held: it is due later, and its message is sent on. The slice says whether that still holds.
ALTER TABLE job_runs ADD COLUMN held_slice integer, ADD COLUMN held_since timestamptz(3);
CREATE INDEX job_runs_held ON job_runs (job_type, held_since) WHERE held_since IS NOT NULL AND completed_at IS NULL;
COMMENT ON INDEX job_runs_held IS 'A slice that gives up its place calls the run that was held longest.';

INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_worker', 'job_places', '{SELECT,INSERT,UPDATE}');
SELECT grant_job_rights();
