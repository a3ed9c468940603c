CREATE TABLE job_deployment (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    wants_events  boolean NOT NULL                -- without an event bus, an event would waste a row and a message
);
COMMENT ON TABLE job_deployment IS
    'The settings that statements need. Each deployment writes them from the template''s parameters.';
INSERT INTO job_deployment (wants_events) VALUES (false);

CREATE TABLE job_outbox (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind           text NOT NULL DEFAULT 'mail' CHECK (kind IN ('mail', 'event')),
    run_id         uuid REFERENCES job_runs,      -- null: an alert, whose text is in content
    recipient      text,                          -- null: the operator, whose address is a setting
    content        jsonb,                         -- {"subject": …, "lines": [ … ]}
    status         text NOT NULL DEFAULT 'unsent',
    send_at        timestamptz                    -- when the sweep (re)sends its message
                   DEFAULT clock_timestamp() + interval '1 minute',
    resends        integer NOT NULL DEFAULT 0,    -- messages since the last claim: the exponent of the back-off
    attempts       integer NOT NULL DEFAULT 0,    -- claims by the notify or announce function
    retry_at       timestamptz NOT NULL           -- claims before this time are duplicates and are ignored
                   DEFAULT clock_timestamp(),
    claimed_until  timestamptz,                   -- by this time, that function has certainly ended
    error          text,                          -- why the last attempt failed
    message_id     text,                          -- the id from SES
    created_at     timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    ended_at       timestamptz(3),                -- sent, given up, or not wanted
    team_id        uuid,                          -- of a digest: the team whose runs it reports
    digest_id      uuid,                          -- the digest that reports this mail's run
    takes_more     boolean NOT NULL DEFAULT false,    -- a digest whose sending has not begun
    CONSTRAINT known_status CHECK (status IN ('unsent', 'sent', 'failed', 'unwanted', 'digested')),
    CONSTRAINT is_about_something CHECK (num_nonnulls(run_id, content) = 1),
    CONSTRAINT event_is_of_a_run CHECK (kind <> 'event' OR (run_id IS NOT NULL AND recipient IS NULL)),
    CONSTRAINT unsent_is_sent_some_time CHECK ((send_at IS NOT NULL) = (status = 'unsent')),
    CONSTRAINT ended_has_a_time CHECK ((ended_at IS NULL) = (status = 'unsent')),
    CONSTRAINT failed_has_an_error CHECK (status <> 'failed' OR error IS NOT NULL),
    CONSTRAINT digested_has_a_digest CHECK ((status = 'digested') = (digest_id IS NOT NULL)),
    CONSTRAINT digest_is_of_a_team CHECK (NOT takes_more OR (team_id IS NOT NULL AND recipient IS NOT NULL))
) WITH (                                          -- as job_runs
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_limit = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000
);
COMMENT ON TABLE job_outbox IS
    'Mails to send, and events that other systems can react to. They are written in the transaction that ends a run,
     so that a run cannot end without them.';
CREATE UNIQUE INDEX job_outbox_once ON job_outbox (run_id, kind, recipient) NULLS NOT DISTINCT WHERE run_id IS NOT NULL;
COMMENT ON INDEX job_outbox_once IS 'Allows one mail per run and recipient, and one event per run.';
CREATE INDEX job_outbox_unsent ON job_outbox (send_at) WHERE send_at IS NOT NULL;
COMMENT ON INDEX job_outbox_unsent IS 'The sweep finds what is due, and health what is late.';
CREATE INDEX job_outbox_ended ON job_outbox (ended_at) WHERE ended_at IS NOT NULL;
COMMENT ON INDEX job_outbox_ended IS 'Retention finds the oldest alerts.';
CREATE INDEX job_outbox_failed ON job_outbox (ended_at) WHERE status = 'failed';
COMMENT ON INDEX job_outbox_failed IS 'Health finds what was given up: few rows, however many were sent.';
CREATE UNIQUE INDEX job_outbox_open_digest ON job_outbox (team_id, recipient) WHERE takes_more AND status = 'unsent';
COMMENT ON INDEX job_outbox_open_digest IS 'Allows one open digest per team and recipient.';
CREATE INDEX job_outbox_digested ON job_outbox (digest_id) WHERE digest_id IS NOT NULL;
COMMENT ON INDEX job_outbox_digested IS 'A digest finds the mails whose runs it reports.';

CREATE TABLE job_mail_shares (
    team_id  uuid PRIMARY KEY,                    -- not a foreign key: the row outlives its team by a day
    sent_at  timestamptz[] NOT NULL               -- the mails of the last hour, newest first
);
COMMENT ON TABLE job_mail_shares IS
    'A team''s hourly share of mails. Mails beyond it are combined in one digest per recipient.';

-- Writes mails, event and success for the end of a run. Safe to repeat. It reads the platform's tables, so each part
-- may fail, but only by itself (a block with EXCEPTION is a subtransaction): the error is stored in the run, and the
-- sweep calls this again. A statement timeout is not caught, so the wait for locks of other sessions is short.
CREATE FUNCTION tell_of_ending(ended job_runs) RETURNS text LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    swallowed   CONSTANT text := 'a rule or a trigger on job_outbox swallows it';
    asked_by    text[] := string_to_array(ended.triggered_by, ':');      -- manual:user:<id>, manual:api_key:<id>
    home        uuid := ended.team_id;
    recipients  text[];
    errors      text[] := '{}';
    owed        text;
BEGIN
    -- The project may have moved while the run was live: its new team gets the result. If the project is gone, its last team does.
    IF ended.project_id IS NOT NULL THEN
        BEGIN
            home := coalesce((SELECT team_id FROM projects WHERE id = ended.project_id), ended.team_id);
            IF home <> ended.team_id THEN
                UPDATE job_runs SET team_id = home, idempotency_key = NULL, request_hash = NULL WHERE id = ended.id;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            errors := errors || format('its team: %s', SQLERRM);
        END;
    END IF;
    BEGIN
        IF EXISTS (SELECT FROM job_deployment WHERE wants_events) THEN
            INSERT INTO job_outbox (run_id, kind) VALUES (ended.id, 'event') ON CONFLICT DO NOTHING;
            IF NOT FOUND AND NOT EXISTS (SELECT FROM job_outbox WHERE run_id = ended.id AND kind = 'event') THEN
                RAISE EXCEPTION '%', swallowed;
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        errors := errors || format('its event: %s', SQLERRM);
    END;
    IF ended.project_id IS NULL AND ended.status = 'completed' THEN
        BEGIN
            UPDATE job_successes
            SET last_success_at = ended.completed_at, since = ended.completed_at,
                overdue_at = ended.completed_at + expected_within
            WHERE job_type = ended.job_type AND since <= ended.completed_at;
        EXCEPTION WHEN OTHERS THEN
            errors := errors || format('its success: %s', SQLERRM);
        END;
    END IF;
    BEGIN
        -- A system run's mail goes to the operator; a project run's to the person who triggered it, if still a member.
        IF ended.project_id IS NULL AND ended.status IN ('completed', 'failed') THEN
            recipients := ARRAY[NULL];
        ELSIF ended.project_id IS NOT NULL AND ended.notify AND asked_by[1] = 'manual'
              AND pg_input_is_valid(asked_by[3], 'uuid') THEN
            SELECT array_agg(btrim(person.email)) INTO recipients
            FROM users person JOIN team_members member ON member.user_id = person.id AND member.team_id = home
            WHERE person.deleted_at IS NULL AND btrim(person.email) <> ''
              AND person.id IN (
                  SELECT CAST(asked_by[3] AS uuid) WHERE asked_by[2] = 'user'
                  UNION ALL
                  SELECT created_by FROM api_keys WHERE asked_by[2] = 'api_key' AND id = CAST(asked_by[3] AS uuid));
        END IF;
        IF recipients IS NOT NULL THEN
            INSERT INTO job_outbox (run_id, recipient) SELECT ended.id, unnest(recipients) ON CONFLICT DO NOTHING;
            IF NOT FOUND AND NOT EXISTS (SELECT FROM job_outbox WHERE run_id = ended.id AND kind = 'mail') THEN
                RAISE EXCEPTION '%', swallowed;
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        errors := errors || format('its mail: %s', SQLERRM);
    END;
    owed := nullif(left(array_to_string(errors, '; '), 2000), '');
    IF owed IS DISTINCT FROM ended.untold THEN
        UPDATE job_runs SET untold = owed WHERE id = ended.id;
    END IF;
    RETURN owed;
END $$;

-- Runs at every end of a run: by the worker, the sweep, a cancel, or a person with psql.
CREATE FUNCTION announce_ending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell_of_ending(NEW);
    RETURN NULL;
END $$;
CREATE TRIGGER announce_ending AFTER UPDATE OF status ON job_runs FOR EACH ROW
    WHEN (OLD.completed_at IS NULL AND NEW.completed_at IS NOT NULL) EXECUTE FUNCTION announce_ending();
