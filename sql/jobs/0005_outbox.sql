-- Mails to be sent, and an event that other systems can react to. They are written in the transaction that ends a run,
-- so that a run cannot end without them.

-- Settings that statements need. Each deployment writes them from the template's parameters.
CREATE TABLE job_deployment (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    wants_events  boolean NOT NULL                -- without an event bus, an event would waste a row and a message
);
INSERT INTO job_deployment (wants_events) VALUES (false);
GRANT SELECT ON job_deployment TO nightshift_app;

CREATE TABLE job_outbox (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind           text NOT NULL DEFAULT 'mail' CHECK (kind IN ('mail', 'event')),
    run_id         uuid REFERENCES job_runs,      -- null: an alert, whose text is in content
    recipient      text,                          -- null: the operator, whose address is a setting
    content        jsonb,                         -- {"subject": …, "lines": [ … ]}
    status         text NOT NULL DEFAULT 'unsent' CHECK (status IN ('unsent', 'sent', 'failed', 'unwanted')),
    send_at        timestamptz                    -- when the sweep (re)sends its message to the notify function
                   DEFAULT clock_timestamp() + interval '1 minute',
    resends        integer NOT NULL DEFAULT 0,    -- messages since the last claim: the exponent of the back-off
    attempts       integer NOT NULL DEFAULT 0,    -- claims by the notify function
    retry_at       timestamptz NOT NULL           -- claims before this time are duplicates and are ignored
                   DEFAULT clock_timestamp(),
    claimed_until  timestamptz,                   -- by this time, that function has certainly ended
    error          text,                          -- why the last attempt failed
    message_id     text,                          -- the id from SES
    created_at     timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    ended_at       timestamptz(3),                -- sent, given up, or not wanted
    CONSTRAINT is_about_something CHECK (num_nonnulls(run_id, content) = 1),
    CONSTRAINT event_is_of_a_run CHECK (kind <> 'event' OR (run_id IS NOT NULL AND recipient IS NULL)),
    CONSTRAINT unsent_is_sent_some_time CHECK ((send_at IS NOT NULL) = (status = 'unsent')),
    CONSTRAINT ended_has_a_time CHECK ((ended_at IS NULL) = (status = 'unsent')),
    CONSTRAINT failed_has_an_error CHECK (status <> 'failed' OR error IS NOT NULL)
);
-- One mail per run and recipient, one event per run.
CREATE UNIQUE INDEX job_outbox_once ON job_outbox (run_id, kind, recipient) NULLS NOT DISTINCT WHERE run_id IS NOT NULL;
CREATE INDEX job_outbox_unsent ON job_outbox (send_at) WHERE send_at IS NOT NULL;
CREATE INDEX job_outbox_ended ON job_outbox (ended_at) WHERE ended_at IS NOT NULL;

-- Runs at every end of a run: by the worker, the sweep, a cancel, or a person with psql.
-- A run's mail goes to the person who triggered it, if still in the team; a system run's mail goes to the operator.
CREATE FUNCTION announce_ending() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked_by text[] := string_to_array(NEW.triggered_by, ':');      -- manual:user:<id>, manual:api_key:<id>
BEGIN
    INSERT INTO job_outbox (run_id, kind) SELECT NEW.id, 'event' FROM job_deployment WHERE wants_events;
    IF NEW.project_id IS NULL THEN
        INSERT INTO job_outbox (run_id) SELECT NEW.id WHERE NEW.status IN ('completed', 'failed');
    ELSIF NEW.notify AND asked_by[1] = 'manual' AND pg_input_is_valid(asked_by[3], 'uuid') THEN
        INSERT INTO job_outbox (run_id, recipient)
        SELECT NEW.id, person.email
        FROM users person JOIN team_members member ON member.user_id = person.id AND member.team_id = NEW.team_id
        WHERE person.deleted_at IS NULL AND person.email IS NOT NULL
          AND person.id = CASE asked_by[2]
              WHEN 'user' THEN CAST(asked_by[3] AS uuid)
              WHEN 'api_key' THEN (SELECT created_by FROM api_keys WHERE id = CAST(asked_by[3] AS uuid)) END;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER announce_ending AFTER UPDATE OF status ON job_runs FOR EACH ROW
    WHEN (OLD.completed_at IS NULL AND NEW.completed_at IS NOT NULL) EXECUTE FUNCTION announce_ending();

GRANT SELECT, INSERT, UPDATE, DELETE ON job_outbox TO nightshift_app;
