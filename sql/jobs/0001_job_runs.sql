-- One row per run. The API shows the first block of columns; the second is internal to the executor (docs/protocol.md).
-- fillfactor: a yield, a claim of a later slice and a slice end change no indexed column, so they stay HOT updates.

CREATE TABLE job_runs (
    id            uuid PRIMARY KEY,
    job_type      text NOT NULL,
    status        text NOT NULL DEFAULT 'pending',
    team_id       uuid REFERENCES teams,
    project_id    uuid REFERENCES projects,
    triggered_by  text NOT NULL,
    params        jsonb NOT NULL DEFAULT '{}',
    progress      jsonb,
    result        jsonb,
    error         text,
    notify        boolean NOT NULL DEFAULT false,
    started_at    timestamptz(3),                 -- first claim
    completed_at  timestamptz(3),                 -- the end, with any status
    created_at    timestamptz(3) NOT NULL DEFAULT clock_timestamp(),  -- milliseconds, as in list cursors

    slice                integer NOT NULL DEFAULT 0,        -- raised only by the end of a slice and by the sweep
    cursor               jsonb,                             -- where the job continues; moves with every yield
    cursor_version       integer,                           -- version of the code that wrote the cursor
    lease_expires_at     timestamptz,                       -- set by the claim, cleared by the end of the slice
    due_at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    resend_at            timestamptz,                       -- when the sweep repeats an unclaimed message
    resends              integer NOT NULL DEFAULT 0,        -- repeats since the last claim: the back-off's exponent
    last_step_at         timestamptz(3),                    -- the last yield; a leased run that stopped yielding is stuck
    cancel_requested_at  timestamptz(3),
    cancel_requested_by  text,
    lost_slices          integer NOT NULL DEFAULT 0,        -- slices in a row that died without moving the cursor
    failures             integer NOT NULL DEFAULT 0,        -- exceptions in a row without moving the cursor
    waiting_for          text,                              -- why the next slice starts later, as text
    idempotency_key      bytea,                             -- SHA-256 of caller, team and the client's key
    request_hash         bytea,                             -- SHA-256 of the request that came with the key
    rerun_of             uuid,                              -- the ended run whose params this one repeats; not a
                                                            -- foreign key, because the old run may be pruned first

    CONSTRAINT known_status CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    CONSTRAINT scope_is_whole CHECK ((team_id IS NULL) = (project_id IS NULL)),
    CONSTRAINT live_is_leased_or_resent CHECK (
        num_nonnulls(lease_expires_at, resend_at) = (status IN ('pending', 'running'))::int),
    CONSTRAINT cancel_waits_only_for_a_lease CHECK (
        status NOT IN ('pending', 'running') OR cancel_requested_at IS NULL OR lease_expires_at IS NOT NULL),
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
) WITH (fillfactor = 70);

-- Promise 2: at most one live run per type and project, and per type for system jobs (NULLS NOT DISTINCT).
-- The sweep uses this index, too: it contains only the live runs.
CREATE UNIQUE INDEX job_runs_one_live ON job_runs (job_type, project_id) NULLS NOT DISTINCT
    WHERE status IN ('pending', 'running');
CREATE UNIQUE INDEX job_runs_idempotency ON job_runs (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- One index per combination of the list's filters, each ending in the order of the pages, so that every page reads only
-- the rows that it returns. A run's entries change only with its status: insert, first claim, end.
CREATE INDEX job_runs_team ON job_runs (team_id, created_at DESC, id DESC);
CREATE INDEX job_runs_team_type ON job_runs (team_id, job_type, created_at DESC, id DESC);
CREATE INDEX job_runs_team_status ON job_runs (team_id, status, created_at DESC, id DESC);
CREATE INDEX job_runs_team_type_status ON job_runs (team_id, job_type, status, created_at DESC, id DESC);
CREATE INDEX job_runs_project ON job_runs (project_id, created_at DESC, id DESC);
CREATE INDEX job_runs_project_type ON job_runs (project_id, job_type, created_at DESC, id DESC);
CREATE INDEX job_runs_project_status ON job_runs (project_id, status, created_at DESC, id DESC);
CREATE INDEX job_runs_project_type_status ON job_runs (project_id, job_type, status, created_at DESC, id DESC);

-- The timeline: one row per claimed slice. The statement that raises the slice number or ends the run closes it.
CREATE TABLE job_slices (
    run_id      uuid NOT NULL REFERENCES job_runs,
    slice       integer NOT NULL,
    request_id  text NOT NULL,                    -- of the Lambda invocation, to find its log lines
    started_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz(3),
    outcome     text CHECK (outcome IN ('continued', 'waiting', 'retrying', 'lost', 'completed', 'failed', 'cancelled')),
    reason      text,                             -- what the slice waits for, or what failed
    wait_s      integer,
    processed   bigint,                           -- progress at the end of the slice
    PRIMARY KEY (run_id, slice),
    CONSTRAINT ended_has_an_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
