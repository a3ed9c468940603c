CREATE TABLE job_alerts (
    id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id               uuid NOT NULL,          -- not a foreign key: the sweep deletes the alerts of a deleted team
    name                  text NOT NULL,
    events                text[] NOT NULL,        -- what it tells of
    job_types             text[],                 -- null: all
    project_ids           uuid[],                 -- null: all of the team
    channel               text NOT NULL CHECK (channel IN ('mail', 'slack', 'webhook')),
    config                jsonb NOT NULL,         -- of mail {"admins", "addresses"}, of a webhook {"url"}
    secret_encrypted      bytea,                  -- what signs a webhook's messages, or the URL of Slack
    old_secret_encrypted  bytea,                  -- signs as well until old_secret_until
    old_secret_until      timestamptz,
    minutes_between       integer NOT NULL,       -- between two messages; what happens in between is one digest
    overdue_hours         integer,                -- without a success: overdue
    created_by            text NOT NULL,          -- as in job_runs.triggered_by
    created_at            timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    updated_at            timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    active_since          timestamptz NOT NULL DEFAULT clock_timestamp(),   -- it tells of nothing before; a resume moves it
    paused_by             text,                   -- "nightshift": its endpoint does not accept messages
    paused_why            text,
    paused_at             timestamptz(3),
    pause_untold          boolean NOT NULL DEFAULT false,   -- the sweep has yet to tell the team
    deleted_at            timestamptz(3),         -- the sweep deletes its deliveries, and then the row
    quiet_until           timestamptz NOT NULL DEFAULT clock_timestamp(),   -- the next message waits until then
    overdue_look_at       timestamptz,            -- the sweep's next look for overdue jobs; null: it tells of none
    messaged_until        timestamptz,            -- until then, a message to the deliver function is on its way
    claims                integer NOT NULL DEFAULT 0,       -- the fence: the end of a call names its claim
    claimed_until         timestamptz,            -- by this time, the call has certainly ended
    failures              integer NOT NULL DEFAULT 0,       -- calls in a row that failed
    failing_since         timestamptz(3),
    retry_at              timestamptz,            -- no call before this time
    CONSTRAINT known_events CHECK (
        cardinality(events) > 0
        AND events <@ ARRAY['failed', 'ended', 'first_failure', 'recovered', 'overdue']),
    CONSTRAINT chosen_is_not_empty CHECK (cardinality(job_types) > 0 AND cardinality(project_ids) > 0),
    CONSTRAINT secret_is_of_a_call CHECK ((secret_encrypted IS NULL) = (channel = 'mail' OR deleted_at IS NOT NULL)),
    CONSTRAINT paused_is_whole CHECK (num_nonnulls(paused_by, paused_why, paused_at) IN (0, 3)),
    CONSTRAINT overdue_has_hours CHECK (('overdue' = ANY (events)) = (overdue_hours IS NOT NULL)),
    CONSTRAINT failing_has_a_start CHECK ((failures > 0) = (failing_since IS NOT NULL))
);
COMMENT ON TABLE job_alerts IS 'The wish of a team to be told of its runs: by mail, in Slack, or at a webhook.';
CREATE INDEX job_alerts_team ON job_alerts (team_id, created_at, id);
COMMENT ON INDEX job_alerts_team IS 'A team''s list; and the alerts of the runs that have ended.';
CREATE INDEX job_alerts_active ON job_alerts (active_since) WHERE paused_at IS NULL AND deleted_at IS NULL;
COMMENT ON INDEX job_alerts_active IS 'The sweep asks whether there is any, and since when.';
CREATE INDEX job_alerts_overdue ON job_alerts (overdue_look_at) WHERE overdue_look_at IS NOT NULL;
COMMENT ON INDEX job_alerts_overdue IS 'The sweep finds those that it has to look at.';

CREATE TABLE job_alert_deliveries (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),     -- the receiver's webhook-id, the same at each try
    alert_id       uuid NOT NULL,                 -- not a foreign key: a deleted alert's deliveries go in batches
    team_id        uuid NOT NULL,
    kind           text NOT NULL CHECK (
                       kind IN ('failed', 'completed', 'cancelled', 'recovered', 'overdue', 'digest', 'test')),
    about          text NOT NULL,                 -- the run, or the lapse, of which an alert tells once
    run_id         uuid,
    data           jsonb NOT NULL,                -- what the message says; without params, results and secrets
    status         text NOT NULL CHECK (status IN ('held', 'unsent', 'sent', 'failed', 'digested')),
    send_at        timestamptz,                   -- no try before this time
    expires_at     timestamptz NOT NULL,          -- no try after this time
    tries          integer NOT NULL DEFAULT 0,
    answer_status  integer,                       -- of the last try
    answer         text,                          -- the first KiB
    error          text,                          -- why the last try failed
    digest_id      uuid,                          -- the delivery that tells of this one
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),      -- exact: the order in which they are sent
    ended_at       timestamptz(3),
    CONSTRAINT unsent_is_sent_some_time CHECK ((send_at IS NOT NULL) = (status = 'unsent')),
    CONSTRAINT ended_has_a_time CHECK ((ended_at IS NULL) = (status IN ('held', 'unsent'))),
    CONSTRAINT failed_has_an_error CHECK (status <> 'failed' OR error IS NOT NULL),
    CONSTRAINT digested_has_a_digest CHECK ((status = 'digested') = (digest_id IS NOT NULL))
);
COMMENT ON TABLE job_alert_deliveries IS
    'The messages of alerts. "held" waits until the alert may send again; several that wait become one digest.';
CREATE UNIQUE INDEX job_alert_deliveries_once ON job_alert_deliveries (alert_id, about);
COMMENT ON INDEX job_alert_deliveries_once IS 'An alert tells of a run once, however often the sweep looks at it.';
CREATE INDEX job_alert_deliveries_open ON job_alert_deliveries (alert_id, created_at) WHERE status IN ('held', 'unsent');
COMMENT ON INDEX job_alert_deliveries_open IS 'The deliveries that are due, the oldest of an alert first.';
CREATE INDEX job_alert_deliveries_alert ON job_alert_deliveries (alert_id, created_at, id);
COMMENT ON INDEX job_alert_deliveries_alert IS 'The list of an alert''s deliveries.';
CREATE INDEX job_alert_deliveries_age ON job_alert_deliveries (created_at);
COMMENT ON INDEX job_alert_deliveries_age IS 'Retention finds the oldest.';

CREATE TABLE job_alert_addresses (
    team_id       uuid NOT NULL,
    address       text NOT NULL CHECK (address = lower(address)),
    token_hash    bytea,                          -- of the token in the last mail that asked; null: none was sent
    asked_at      timestamptz(3) NOT NULL,
    confirmed_at  timestamptz(3),                 -- null: no alert is sent to it
    PRIMARY KEY (team_id, address),
    CONSTRAINT a_token_is_used_once CHECK (token_hash IS NULL OR confirmed_at IS NULL)
);
COMMENT ON TABLE job_alert_addresses IS
    'Mail addresses outside a team that its alerts name. Each owner of an address confirms it before it gets an alert.';
CREATE UNIQUE INDEX job_alert_addresses_token ON job_alert_addresses (token_hash) WHERE token_hash IS NOT NULL;
COMMENT ON INDEX job_alert_addresses_token IS 'The confirmation finds its address.';

-- Each run that ended before this time has been looked at for alerts.
ALTER TABLE job_sweep ADD COLUMN alerts_until timestamptz NOT NULL DEFAULT clock_timestamp();

-- The deliver function calls addresses that teams choose, so it has a role that reaches the alerts alone.
DO $$
BEGIN
    BEGIN
        CREATE ROLE nightshift_deliver NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;      -- another database of this server created it
    END;
    ALTER ROLE nightshift_deliver LOGIN;
    ALTER ROLE nightshift_deliver SET statement_timeout = '30s';
    ALTER ROLE nightshift_deliver SET lock_timeout = '5s';
    ALTER ROLE nightshift_deliver SET idle_in_transaction_session_timeout = '10s';
    ALTER ROLE nightshift_deliver SET timezone = 'UTC';
    BEGIN
        ALTER ROLE nightshift_deliver SET client_connection_check_interval = '2s';
    EXCEPTION WHEN invalid_parameter_value THEN NULL;           -- not supported on every operating system
    END;
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO nightshift_deliver',
                   (SELECT CAST(relnamespace AS regnamespace) FROM pg_class WHERE oid = CAST('job_alerts' AS regclass)));
END $$;

INSERT INTO job_rights (role, table_name, privileges) VALUES
    -- Secrets are encrypted, and KMS lets the deliver function alone decrypt them.
    ('nightshift_api', 'job_alerts', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_api', 'job_alert_deliveries', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_api', 'job_alert_addresses', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_deliver', 'job_alerts', '{SELECT,UPDATE}'),
    ('nightshift_deliver', 'job_alert_deliveries', '{SELECT,UPDATE}'),
    ('nightshift_notify', 'job_alert_addresses', '{SELECT,"UPDATE (token_hash)"}'),
    ('nightshift_sweep', 'job_alerts', '{SELECT,UPDATE,DELETE}'),
    ('nightshift_sweep', 'job_alert_deliveries', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('nightshift_sweep', 'job_alert_addresses', '{SELECT,DELETE}'),
    ('nightshift_operate', 'job_alerts', '{"SELECT (id, paused_at, deleted_at, failures)"}');
SELECT grant_job_rights();
