-- A run ends and the sweep goes on, whatever is wrong with one row.

-- Why something that the ending owes (mails, an event, the note of a success) could not be written. Null: nothing is owed.
ALTER TABLE job_runs ADD COLUMN untold text;
CREATE INDEX job_runs_untold ON job_runs (completed_at) WHERE untold IS NOT NULL;
-- The failures of the teams' runs, for health and its alarm: few rows, however many runs there are.
CREATE INDEX job_runs_failed ON job_runs (completed_at) WHERE status = 'failed' AND project_id IS NOT NULL;

-- Write what the ending of a run owes. Safe to repeat. It reads the platform's tables, so each part may fail, and does so
-- alone (a block with EXCEPTION is a subtransaction): the error is stored in the run, and the sweep calls this again.
-- Not caught is the end of the statement's own time, so a lock that others hold is waited for briefly.
CREATE FUNCTION tell_of_ending(ended job_runs) RETURNS text LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    swallowed   CONSTANT text := 'a rule or a trigger on job_outbox swallows it';
    asked_by    text[] := string_to_array(ended.triggered_by, ':');      -- manual:user:<id>, manual:api_key:<id>
    home        uuid := ended.team_id;
    recipients  text[];
    errors      text[] := '{}';
    owed        text;
BEGIN
    -- A project may have moved to another team while the run was live: what came of it is that team's to see.
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
        -- A system run's to the operator; a project's to the person who asked for it, if that person is still in the team.
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

-- Rows that the sweep could not heal. It tries each again after a while, and passes it over until then, so that they
-- stand in no other row's way.
CREATE TABLE job_set_aside (
    healer    text NOT NULL,                      -- of nightshift/sweep.py
    key       text NOT NULL,                      -- the row's, as the healer's query writes it; empty: of the healer
    error     text NOT NULL,
    attempts  integer NOT NULL,                   -- that failed; a first failure for a passing reason does not count
    since     timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    retry_at  timestamptz NOT NULL,
    told_at   timestamptz(3),                     -- when the operator was sent a mail about it
    PRIMARY KEY (healer, key)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON job_set_aside TO nightshift_app;

-- When the sweep came last.
CREATE TABLE job_sweep (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    came_at   timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO job_sweep DEFAULT VALUES;
GRANT SELECT, UPDATE ON job_sweep TO nightshift_app;
