CREATE TABLE job_set_aside (
    healer    text NOT NULL,                      -- of nightshift/healing/sweep.py
    key       text NOT NULL,                      -- of the row, as in the healer's query; empty: of the healer itself
    error     text NOT NULL,
    attempts  integer NOT NULL,                   -- failed ones; a first failure for a temporary reason is not counted
    since     timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    retry_at  timestamptz NOT NULL,
    told_at   timestamptz(3),                     -- when the operator was told by mail
    PRIMARY KEY (healer, key)
);
COMMENT ON TABLE job_set_aside IS
    'Rows that the sweep could not heal. It tries each again after a while and skips it until then, so that it does
     not delay other rows.';

CREATE TABLE job_sweep (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    came_at   timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE job_sweep IS 'When the sweep last ran.';
INSERT INTO job_sweep DEFAULT VALUES;
