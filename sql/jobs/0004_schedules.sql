-- The schedules, and the outcome of each of their slots.

-- Each deployment writes it from the template's parameters, so that the EventBridge rule and this table agree.
CREATE TABLE job_schedules (
    job_type      text PRIMARY KEY,
    cron          text NOT NULL,              -- five fields, UTC
    active_since  timestamptz NOT NULL,       -- since when it has this cron; earlier slots are ignored
    next_slot     timestamptz NOT NULL        -- the first slot that the sweep has not recorded; only moves forward
);

CREATE TABLE job_schedule_slots (
    job_type    text NOT NULL,
    slot        timestamptz NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('started', 'skipped', 'caught_up', 'missed')),
    reason      text,                         -- why it was skipped, if not because of a live run
    run_id      uuid,                         -- the run it started, or the live run it was skipped for; not a foreign
                                              -- key, because runs and slots are pruned separately
    decided_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_type, slot),             -- EventBridge may deliver a slot twice
    CONSTRAINT no_run_is_missed_or_has_a_reason CHECK ((run_id IS NULL) = (outcome = 'missed' OR reason IS NOT NULL)),
    CONSTRAINT only_skipped_has_a_reason CHECK (reason IS NULL OR outcome = 'skipped')
);

-- For finding old rows. A run gets its entry once, when it ends.
CREATE INDEX job_schedule_slots_decided ON job_schedule_slots (decided_at);
CREATE INDEX job_runs_completed ON job_runs (completed_at) WHERE completed_at IS NOT NULL;

GRANT SELECT, UPDATE ON job_schedules TO nightshift_app;
GRANT SELECT, INSERT, DELETE ON job_schedule_slots TO nightshift_app;
GRANT DELETE ON job_runs, job_slices TO nightshift_app;
