-- What its owner has stopped for a while, and what should have succeeded by now.

CREATE TABLE job_pauses (
    job_type   text NOT NULL,
    what       text NOT NULL CHECK (what IN ('type', 'schedule')),  -- a type: nobody starts it; a schedule: only people
    paused_by  text NOT NULL,
    why        text NOT NULL,
    paused_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_type, what)
);

-- One row per scheduled job type. Not in job_schedules, whose row the sweep locks while it starts a run: an ending, which
-- has its run's row and wants this one, could wait for that sweep, and the sweep for the run.
CREATE TABLE job_successes (
    job_type         text PRIMARY KEY,
    expected_within  interval NOT NULL,           -- from one success to the next; of the schedule, by each deployment
    last_success_at  timestamptz(3),
    since            timestamptz NOT NULL         -- the last success; or when its schedule became active or was resumed
                     DEFAULT clock_timestamp(),
    overdue_at       timestamptz NOT NULL         -- when the owner is told, unless it succeeds before; moves on when told
);

CREATE FUNCTION note_success() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE job_successes
    SET last_success_at = NEW.completed_at, since = NEW.completed_at, overdue_at = NEW.completed_at + expected_within
    WHERE job_type = NEW.job_type;
    RETURN NULL;
END $$;
CREATE TRIGGER note_success AFTER UPDATE OF status ON job_runs FOR EACH ROW
    WHEN (OLD.completed_at IS NULL AND NEW.status = 'completed' AND NEW.project_id IS NULL)
    EXECUTE FUNCTION note_success();

GRANT SELECT, INSERT, DELETE ON job_pauses TO nightshift_app;
GRANT SELECT, UPDATE ON job_successes TO nightshift_app;
