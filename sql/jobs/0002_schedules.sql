CREATE TABLE job_schedules (
    job_type      text PRIMARY KEY,
    cron          text NOT NULL,              -- five fields, UTC
    active_since  timestamptz NOT NULL,       -- since when it has this cron; earlier slots are ignored
    next_slot     timestamptz NOT NULL        -- the first slot that the sweep has not recorded; only moves forward
);
COMMENT ON TABLE job_schedules IS
    'The schedules of system jobs. Each deployment writes them from the template''s parameters, so that the
     EventBridge rules and this table agree.';

CREATE TABLE job_schedule_slots (
    job_type    text NOT NULL,
    slot        timestamptz NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('started', 'skipped', 'caught_up', 'missed')),
    reason      text,                         -- why it was skipped, if not because of a live run
    run_id      uuid,                         -- the run it started, or the live run it was skipped for; not a foreign
                                              -- key, because runs and slots are pruned separately
    decided_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_type, slot),
    CONSTRAINT no_run_is_missed_or_has_a_reason CHECK ((run_id IS NULL) = (outcome = 'missed' OR reason IS NOT NULL)),
    CONSTRAINT only_skipped_has_a_reason CHECK (reason IS NULL OR outcome = 'skipped')
);
COMMENT ON TABLE job_schedule_slots IS
    'The outcome of each slot of a schedule. Its key refuses a slot that EventBridge delivers twice.';
CREATE INDEX job_schedule_slots_decided ON job_schedule_slots (decided_at);
COMMENT ON INDEX job_schedule_slots_decided IS 'Retention finds the oldest slots, and health the newest.';

CREATE TABLE job_successes (
    job_type         text PRIMARY KEY,
    expected_within  interval NOT NULL,           -- between two successes; set from the schedule by each deployment
    last_success_at  timestamptz(3),
    since            timestamptz NOT NULL         -- the last success, or when its schedule was activated or resumed
                     DEFAULT clock_timestamp(),
    overdue_at       timestamptz NOT NULL         -- when to alert the operator unless it succeeds; moves on after that
);
COMMENT ON TABLE job_successes IS
    'The last success of each scheduled job type, and when the next one is overdue. Not part of job_schedules, whose
     row the sweep locks while it starts a run: the end of a run, which locks the run''s row and then this one, could
     deadlock with that sweep.';

CREATE TABLE job_pauses (
    job_type   text NOT NULL,
    what       text NOT NULL CHECK (what IN ('type', 'schedule')),  -- type: no starts; schedule: manual starts only
    paused_by  text NOT NULL,
    why        text NOT NULL,
    paused_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_type, what)
);
COMMENT ON TABLE job_pauses IS 'The operator''s pauses: of a job type, or of its schedule alone.';
