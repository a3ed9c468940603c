CREATE TABLE job_runs (
    -- Written by the trigger. The columns that change later follow, because an update logs the row from the first byte
    -- that changed to the last.
    id               uuid PRIMARY KEY,
    team_id          uuid,                        -- team and project are not foreign keys: each check would lock their
    project_id       uuid,                        -- rows, and the platform may delete them (docs/decisions/0074)
    created_at       timestamptz(3) NOT NULL DEFAULT clock_timestamp(),  -- milliseconds, as in list cursors
    rerun_of         uuid,                        -- the ended run whose params this one repeats; not a foreign key,
                                                  -- because the old run may be pruned first
    job_type         text NOT NULL,
    triggered_by     text NOT NULL,
    params           jsonb NOT NULL DEFAULT '{}',
    idempotency_key  bytea,                       -- SHA-256 of caller, team and the client's key
    request_hash     bytea,                       -- SHA-256 of the request that came with the key
    notify           boolean NOT NULL DEFAULT false,

    -- The state of the run (docs/protocol.md).
    started_at           timestamptz(3),                    -- first claim
    ends_by              timestamptz,                       -- set by the first claim; then the sweep fails the run
    lease_expires_at     timestamptz,                       -- set by the claim, cleared by the end of the slice
    due_at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    resend_at            timestamptz,                       -- when the sweep repeats an unclaimed message
    completed_at         timestamptz(3),                    -- the end, with any status
    cancel_requested_at  timestamptz(3),
    slice_started_at     timestamptz(3),                    -- set with request_id
    slice                integer NOT NULL DEFAULT 0,        -- raised only by the end of a slice and by the sweep
    resends              integer NOT NULL DEFAULT 0,        -- repeats since the last claim: the back-off's exponent
    lost_in_total        integer NOT NULL DEFAULT 0,        -- all lost slices, even if the cursor moved
    status               text NOT NULL DEFAULT 'pending',
    request_id           text,                              -- the Lambda invocation that works this slice or ended the
                                                            -- run in it; null between two slices
    waiting_for          text,                              -- why the next slice starts later, as text
    abandoned_because    text,                              -- a worker's reason for giving up the slice that it holds
    cancel_requested_by  text,

    -- The columns that a yield changes are beside each other.
    lost_slices          integer NOT NULL DEFAULT 0,        -- slices in a row that died without moving the cursor
    cursor_version       integer,                           -- version of the code that wrote the cursor
    failed_attempts      jsonb NOT NULL DEFAULT '{}',       -- exceptions in a row without moving the cursor, by policy
    last_step_at         timestamptz(3),                    -- the last yield; a leased run that stopped yielding is stuck
    cursor               jsonb,                             -- where the job continues; moves with every yield
    progress             jsonb,

    result               jsonb,
    error                text,
    untold               text,                              -- why mails, the event or the success of the end could not
                                                            -- be written; null: nothing is missing

    CONSTRAINT known_status CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    CONSTRAINT scope_is_whole CHECK ((team_id IS NULL) = (project_id IS NULL)),
    CONSTRAINT live_is_leased_or_resent CHECK (
        num_nonnulls(lease_expires_at, resend_at) = (completed_at IS NULL)::int),
    CONSTRAINT cancel_waits_only_for_a_lease CHECK (
        completed_at IS NOT NULL OR cancel_requested_at IS NULL OR lease_expires_at IS NOT NULL),
    CONSTRAINT leased_has_a_slice CHECK (lease_expires_at IS NULL OR request_id IS NOT NULL),
    CONSTRAINT slice_has_a_start CHECK ((request_id IS NULL) = (slice_started_at IS NULL)),
    CONSTRAINT pending_has_not_started CHECK (status <> 'pending' OR (started_at IS NULL AND lease_expires_at IS NULL)),
    CONSTRAINT running_has_started CHECK (status <> 'running' OR started_at IS NOT NULL),
    CONSTRAINT ended_has_a_time CHECK ((completed_at IS NULL) = (status IN ('pending', 'running'))),
    CONSTRAINT failed_has_an_error CHECK ((error IS NOT NULL) = (status = 'failed')),
    CONSTRAINT only_completed_has_a_result CHECK (result IS NULL OR status = 'completed'),
    CONSTRAINT progress_is_within_total CHECK (
        progress IS NULL OR
        (0 <= (progress->>'processed')::bigint AND (progress->>'processed')::bigint <= (progress->>'total')::bigint)),
    CONSTRAINT completed_is_all_processed CHECK (
        status <> 'completed' OR progress IS NULL OR progress->>'processed' = progress->>'total'),
    CONSTRAINT idempotency_is_whole CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
) WITH (
    fillfactor = 70,
    -- Vacuum by the number of replaced rows: by their share, as is the default, ten million runs would wait for two
    -- million of them. It passes over the indexes while they have few. Ten times the default pace, so that it ends before
    -- the next one is due. A large cursor is stored apart (toast), and each yield replaces it.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_limit = 2000,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000,
    toast.autovacuum_vacuum_cost_limit = 2000,
    -- New rows: for index-only scans, and so that a later vacuum need not freeze them all at once.
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    -- The planner chooses by the share of live runs, which a burst of triggers changes within minutes.
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000
);
COMMENT ON TABLE job_runs IS
    'One row per run. Its fillfactor leaves room for updates on the same page, so a claim of a later slice, a yield
     and the end of a slice, which change no indexed column, need no entry in any index (HOT).';

-- A run is live while completed_at is null. Statements that know the ids of their runs compare the status instead, from
-- which no index of live runs follows: by the statistics of a quiet hour the planner would read that index as a whole.

CREATE UNIQUE INDEX job_runs_one_live ON job_runs (project_id, job_type) NULLS NOT DISTINCT WHERE completed_at IS NULL;
COMMENT ON INDEX job_runs_one_live IS
    'Allows one live run per type and project, and one per type for system jobs (NULLS NOT DISTINCT). The sweep reads
     it, because it contains only live runs, and so do lists of one project''s live runs.';
CREATE UNIQUE INDEX job_runs_idempotency ON job_runs (idempotency_key) WHERE idempotency_key IS NOT NULL;
COMMENT ON INDEX job_runs_idempotency IS 'Allows one run per idempotency key. Few runs have one.';

-- The lists. A run is in the two indexes of live runs until it ends, and then in four indexes of ended runs. A page reads
-- one range for each status (list_runs.sql), so it reads few rows for each combination of filters, however many other
-- runs there are. The indexes are ascending, though lists are read backwards: a page that is full at its end splits
-- without moving its entries, and without logging them.
CREATE INDEX job_runs_live ON job_runs (team_id, status, created_at, id) WHERE completed_at IS NULL;
COMMENT ON INDEX job_runs_live IS 'A team''s list of live runs, in the order of its pages, by status.';
CREATE INDEX job_runs_live_type ON job_runs (team_id, job_type, status, created_at, id)
    WHERE completed_at IS NULL;
COMMENT ON INDEX job_runs_live_type IS 'The same for one job type.';
CREATE INDEX job_runs_team ON job_runs (team_id, status, created_at, id) WHERE completed_at IS NOT NULL;
COMMENT ON INDEX job_runs_team IS 'A team''s list of ended runs, in the order of its pages, by status.';
CREATE INDEX job_runs_team_type ON job_runs (team_id, job_type, status, created_at, id)
    WHERE completed_at IS NOT NULL;
COMMENT ON INDEX job_runs_team_type IS 'The same for one job type.';
CREATE INDEX job_runs_project ON job_runs (project_id, status, created_at, id) WHERE completed_at IS NOT NULL;
COMMENT ON INDEX job_runs_project IS 'The list of a project''s ended runs, and that of ended system runs.';
CREATE INDEX job_runs_project_type ON job_runs (project_id, job_type, status, created_at, id)
    WHERE completed_at IS NOT NULL;
COMMENT ON INDEX job_runs_project_type IS 'The same for one job type.';
-- The runs of a project are those of its team. Without this, the planner expects a list of one project's runs to find few
-- of them, and reads and sorts all.
CREATE STATISTICS job_runs_homes (dependencies) ON project_id, team_id FROM job_runs;

CREATE INDEX job_runs_completed ON job_runs (completed_at) WHERE completed_at IS NOT NULL;
COMMENT ON INDEX job_runs_completed IS 'Retention finds the oldest runs, and the operator''s list the newest.';
CREATE INDEX job_runs_failed ON job_runs (completed_at) WHERE status = 'failed';
COMMENT ON INDEX job_runs_failed IS
    'Health, its alarm and the operator''s list find failed runs among any number of others.';
CREATE INDEX job_runs_untold ON job_runs (completed_at) WHERE untold IS NOT NULL;
COMMENT ON INDEX job_runs_untold IS 'The sweep finds the endings whose mails or events are not written yet.';

CREATE VIEW job_runs_public AS
SELECT id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
       completed_at, created_at, waiting_for
FROM job_runs;
COMMENT ON VIEW job_runs_public IS 'The columns of a run that the API, events and mails read.';

CREATE TABLE job_slices (
    run_id      uuid NOT NULL,                    -- not a foreign key: each check would lock the run's row again
    slice       integer NOT NULL,
    request_id  text NOT NULL,                    -- of the Lambda invocation, to find its log lines
    started_at  timestamptz(3) NOT NULL,
    ended_at    timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    outcome     text NOT NULL CHECK (outcome IN ('continued', 'waiting', 'retrying', 'lost')),
    reason      text,                             -- what the slice waits for, or what failed
    wait_s      integer,
    processed   bigint,                           -- progress at the end of the slice
    PRIMARY KEY (run_id, slice)
) WITH (                                          -- as job_runs
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_limit = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000
);
COMMENT ON TABLE job_slices IS
    'One row per slice that is over, written by the statement that ends the slice. The slice that a worker holds, or
     in which it ended the run, is in job_runs.';

-- Without an order of its own, so that a reader of the newest slices finds them by the index: a branch with an order is
-- planned as if it were read whole.
CREATE VIEW job_timeline AS
SELECT run_id, slice, request_id, started_at, ended_at, outcome, reason, wait_s, processed
FROM job_slices
UNION ALL
SELECT id, slice, request_id, slice_started_at, completed_at, CASE WHEN completed_at IS NOT NULL THEN status END,
       CASE WHEN completed_at IS NOT NULL THEN error ELSE abandoned_because END, NULL,
       CASE WHEN completed_at IS NOT NULL THEN CAST(progress->>'processed' AS bigint) END
FROM job_runs WHERE request_id IS NOT NULL;
COMMENT ON VIEW job_timeline IS 'The timeline: all claimed slices. The last one is open while a worker holds it.';
