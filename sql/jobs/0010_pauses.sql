-- Pauses by the operator, and the time by which each scheduled job should have succeeded.

CREATE TABLE job_pauses (
    job_type   text NOT NULL,
    what       text NOT NULL CHECK (what IN ('type', 'schedule')),  -- type: no starts; schedule: manual starts only
    paused_by  text NOT NULL,
    why        text NOT NULL,
    paused_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_type, what)
);

-- One row per scheduled job type. Not part of job_schedules, whose row the sweep locks while it starts a run: the end
-- of a run, which locks the run's row and then this one, could deadlock with that sweep.
CREATE TABLE job_successes (
    job_type         text PRIMARY KEY,
    expected_within  interval NOT NULL,           -- between two successes; set from the schedule by each deployment
    last_success_at  timestamptz(3),
    since            timestamptz NOT NULL         -- the last success, or when its schedule was activated or resumed
                     DEFAULT clock_timestamp(),
    overdue_at       timestamptz NOT NULL         -- when to alert the operator unless it succeeds; moves on after that
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
