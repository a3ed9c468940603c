-- Cancels and reruns of many runs at once. The runs are fixed when the action is made, so that a person confirms exactly
-- what the preview has shown.
CREATE TABLE job_bulk_actions (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id       uuid NOT NULL,                  -- not a foreign key, as in job_runs
    action        text NOT NULL CHECK (action IN ('cancel', 'rerun')),
    from_cursor   boolean NOT NULL DEFAULT false, -- whether reruns continue from the checkpoints of the old runs
    asked         jsonb NOT NULL,                 -- the filters that found the runs; empty for runs that a person chose
    created_by    text NOT NULL,                  -- as in job_runs.triggered_by
    created_at    timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    confirmed_by  text,                           -- the person who started it: its reruns are triggered by them
    confirmed_at  timestamptz(3),                 -- null: a preview
    ended_at      timestamptz(3),                 -- each item has its outcome
    CONSTRAINT confirmed_is_whole CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL)),
    CONSTRAINT ended_was_confirmed CHECK (ended_at IS NULL OR confirmed_at IS NOT NULL),
    CONSTRAINT only_reruns_have_a_cursor CHECK (action = 'rerun' OR NOT from_cursor)
);
COMMENT ON TABLE job_bulk_actions IS 'A cancel or a rerun of many runs: a preview until a person confirms it.';
CREATE INDEX job_bulk_actions_team ON job_bulk_actions (team_id, created_at);
COMMENT ON INDEX job_bulk_actions_team IS 'A team''s list, and its limits.';
CREATE INDEX job_bulk_actions_working ON job_bulk_actions (confirmed_at)
    WHERE confirmed_at IS NOT NULL AND ended_at IS NULL;
COMMENT ON INDEX job_bulk_actions_working IS 'The sweep finds the actions that have something to do.';
CREATE INDEX job_bulk_actions_age ON job_bulk_actions (created_at);
COMMENT ON INDEX job_bulk_actions_age IS 'Retention finds old actions, and previews without a confirmation.';

CREATE TABLE job_bulk_items (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    action_id       uuid NOT NULL,                -- not a foreign key: retention deletes items in batches
    run_id          uuid NOT NULL,
    project_id      uuid NOT NULL,
    job_type        text NOT NULL,
    run_created_at  timestamptz(3) NOT NULL,
    outcome         text CHECK (outcome IN ('started', 'cancelled', 'asked', 'superseded', 'skipped')),
    reason          text,                         -- why the run was skipped
    new_run_id      uuid,                         -- the run that a rerun has started
    decided_at      timestamptz(3),
    CONSTRAINT decided_is_whole CHECK ((outcome IS NULL) = (decided_at IS NULL)),
    CONSTRAINT only_skipped_has_a_reason CHECK ((reason IS NOT NULL) = (outcome IS NOT DISTINCT FROM 'skipped')),
    CONSTRAINT only_started_has_a_run CHECK ((new_run_id IS NOT NULL) = (outcome IS NOT DISTINCT FROM 'started'))
);
COMMENT ON TABLE job_bulk_items IS
    'The runs of a bulk action. An outcome is written by the statement that starts or cancels the run. "superseded": a
     newer run of the same project and type is run again; "asked": a worker stops the run at its next step.';
CREATE UNIQUE INDEX job_bulk_items_run ON job_bulk_items (action_id, run_id);
COMMENT ON INDEX job_bulk_items_run IS 'An action has a run once.';
CREATE INDEX job_bulk_items_list ON job_bulk_items (action_id, outcome, run_created_at, id);
COMMENT ON INDEX job_bulk_items_list IS 'The figures of an action, its next items, and the pages of their list.';
CREATE UNIQUE INDEX job_bulk_items_once ON job_bulk_items (run_id) WHERE outcome = 'started';
COMMENT ON INDEX job_bulk_items_once IS 'Bulk actions run no run again twice, also two actions at the same time.';

CREATE INDEX job_runs_rerun ON job_runs (rerun_of) WHERE rerun_of IS NOT NULL;
COMMENT ON INDEX job_runs_rerun IS 'A bulk action finds whether a run was run again already. Few runs are reruns.';

INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_api', 'job_bulk_actions', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_api', 'job_bulk_items', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_sweep', 'job_bulk_actions', '{SELECT,UPDATE,DELETE}'),
    ('nightshift_sweep', 'job_bulk_items', '{SELECT,UPDATE,DELETE}');
SELECT grant_job_rights();
