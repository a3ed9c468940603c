-- A faulty row must neither keep its run from ending nor stop the sweep.

-- Why mails, the event or the success of the end could not be written. Null: nothing is missing.
ALTER TABLE job_runs ADD COLUMN untold text;
CREATE INDEX job_runs_untold ON job_runs (completed_at) WHERE untold IS NOT NULL;
-- Failed runs of teams, for health and its alarm: few rows, however many runs there are.
CREATE INDEX job_runs_failed ON job_runs (completed_at) WHERE status = 'failed' AND project_id IS NOT NULL;

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
    -- The project may have moved while the run was live: its new team gets the result.
    IF ended.project_id IS NOT NULL THEN
        BEGIN
            SELECT team_id INTO STRICT home FROM projects WHERE id = ended.project_id;
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

CREATE OR REPLACE FUNCTION announce_ending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell_of_ending(NEW);
    RETURN NULL;
END $$;
DROP TRIGGER note_success ON job_runs;
-- not additive: a trigger function, which no release calls by its name
DROP FUNCTION note_success();

-- Rows that the sweep could not heal. It retries each after a while and skips it until then, so that it does not delay
-- other rows.
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
GRANT SELECT, INSERT, UPDATE, DELETE ON job_set_aside TO nightshift_app;

-- When the sweep last ran.
CREATE TABLE job_sweep (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    came_at   timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO job_sweep DEFAULT VALUES;
GRANT SELECT, UPDATE ON job_sweep TO nightshift_app;
