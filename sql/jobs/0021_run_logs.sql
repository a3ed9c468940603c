-- The lines that jobs log are beside their runs. A row holds those that one statement of the worker stored: a yield or the
-- end of the slice, so a row costs no commit of its own. The number of a line counts all lines of its run from 1, also
-- those that are no longer stored.
ALTER TABLE job_runs ADD COLUMN logged_lines bigint;
COMMENT ON COLUMN job_runs.logged_lines IS
    'How many lines the run has logged, and so the number of its last one. No index may name this column: updates that
     change it are HOT.';

CREATE TABLE job_run_logs (
    run_id      uuid NOT NULL,                    -- not a foreign key: each check would lock the run's row again
    last_line   bigint NOT NULL,                  -- the number of the last line in this row
    team_id     uuid,                             -- null for a system run; of the time at which it was written
    slice       integer NOT NULL,
    written_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    bytes       integer NOT NULL,                 -- of the text, and a hundred for the row
    lines       json NOT NULL,                    -- [{at, level, message, fields}], as the worker wrote it: read whole
    PRIMARY KEY (run_id, last_line)
) WITH (                                          -- as job_runs
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_limit = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000,
    toast.autovacuum_vacuum_cost_limit = 2000
);
COMMENT ON TABLE job_run_logs IS 'The last lines that each run logged. They are kept as long as the run.';
CREATE INDEX job_run_logs_team ON job_run_logs (team_id, written_at) INCLUDE (bytes) WHERE team_id IS NOT NULL;
COMMENT ON INDEX job_run_logs_team IS 'The sweep adds up what a team stores, and finds its oldest lines.';

-- Stores lines of a run, for the statement that has just changed the run under the fence, and forgets those that are
-- beyond the last :kept. Returns null, or why the lines cannot be stored: they are no reason to undo a step, or to let a
-- run go on after its end. A block with EXCEPTION is a subtransaction.
CREATE FUNCTION keep_log_lines(run uuid, team uuid, number integer, last bigint, text_of_lines text, kept integer)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_run_logs (run_id, last_line, team_id, slice, bytes, lines)
    VALUES (run, last, team, number, octet_length(text_of_lines) + 100, CAST(text_of_lines AS json));
    DELETE FROM job_run_logs WHERE run_id = run AND last_line <= last - kept;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END $$;
GRANT EXECUTE ON FUNCTION keep_log_lines(uuid, uuid, integer, bigint, text, integer)
    TO nightshift_worker, nightshift_maintenance;

-- A trigger, because a release that does not know of this table deletes runs, too.
CREATE FUNCTION forget_log_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM job_run_logs WHERE run_id = ANY (ARRAY(SELECT id FROM gone WHERE logged_lines IS NOT NULL));
    RETURN NULL;
END $$;
CREATE TRIGGER forget_log_lines AFTER DELETE ON job_runs
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_log_lines();

-- The limit of a team. The sweep adds the lines of each run that has ended. Lines that go are not subtracted, so the sum
-- is too large rather than too small; when it is above the limit, the sweep adds up what is stored, and corrects it.
CREATE TABLE job_log_shares (
    team_id  uuid PRIMARY KEY,                    -- not a foreign key, as in job_runs
    bytes    bigint NOT NULL
);
COMMENT ON TABLE job_log_shares IS 'About how many bytes of log lines each team stores.';
ALTER TABLE job_sweep ADD COLUMN logs_until timestamptz(3) NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN job_sweep.logs_until IS 'The lines of runs that ended before are counted in job_log_shares.';

INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_api', 'job_run_logs', '{SELECT}'),
    ('nightshift_worker', 'job_run_logs', '{SELECT,INSERT,DELETE}'),
    ('nightshift_maintenance', 'job_run_logs', '{SELECT,INSERT,DELETE}'),
    ('nightshift_sweep', 'job_run_logs', '{SELECT,DELETE}'),
    ('nightshift_sweep', 'job_log_shares', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('nightshift_notify', 'job_run_logs', '{SELECT}'),
    ('nightshift_operate', 'job_run_logs', '{SELECT}');
SELECT grant_job_rights();
