-- What runs on a schedule, and what became of each of its slots.

-- Written by each deployment from the template's parameters, so that the rule that fires and this table say the same.
CREATE TABLE job_schedules (
    job_type      text PRIMARY KEY,
    cron          text NOT NULL,              -- five fields, UTC
    active_since  timestamptz NOT NULL,       -- since when it has this cron: slots before that are nobody's
    next_slot     timestamptz NOT NULL        -- the first slot the sweep has not accounted for; moves only forward
);

CREATE TABLE job_schedule_slots (
    job_type    text NOT NULL,
    slot        timestamptz NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('started', 'skipped', 'caught_up', 'missed')),
    reason      text,                         -- why it was skipped, where that was not for a live run
    run_id      uuid,                         -- the run it started, or the live one it was skipped for; not a foreign
                                              -- key: runs and slots are pruned apart
    decided_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_type, slot),             -- EventBridge may deliver twice
    CONSTRAINT no_run_is_missed_or_has_a_reason CHECK ((run_id IS NULL) = (outcome = 'missed' OR reason IS NOT NULL)),
    CONSTRAINT only_skipped_has_a_reason CHECK (reason IS NULL OR outcome = 'skipped')
);

-- Old rows are found by these; a run enters its own when it ends, and never again.
CREATE INDEX job_schedule_slots_decided ON job_schedule_slots (decided_at);
CREATE INDEX job_runs_completed ON job_runs (completed_at) WHERE completed_at IS NOT NULL;

GRANT SELECT, UPDATE ON job_schedules TO nightshift_app;
GRANT SELECT, INSERT, DELETE ON job_schedule_slots TO nightshift_app;
GRANT DELETE ON job_runs, job_slices TO nightshift_app;
