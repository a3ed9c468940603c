CREATE TABLE job_team_schedules (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id  uuid NOT NULL,                    -- not a foreign key, as in job_runs; the team is the project's
    job_type    text NOT NULL,
    name        text NOT NULL,
    cron        text,                             -- five fields; null: it starts once, at run_at
    run_at      timestamptz(3),
    zone        text NOT NULL,                    -- whose clock the cron follows, as in the package tzdata
    params      jsonb NOT NULL,                   -- those that the team chose; defaults are added when a run starts
    notify      boolean NOT NULL DEFAULT false,   -- its maker gets a mail when a run ends
    created_by  text NOT NULL,                    -- as in job_runs.triggered_by. It goes on when its maker has left
    created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    next_slot   timestamptz,                      -- null: it is paused, or its one time has passed
    skipped     integer NOT NULL DEFAULT 0,       -- slots in a row that were skipped
    paused_by   text,
    paused_why  text,
    paused_at   timestamptz(3),
    CONSTRAINT repeats_or_starts_once CHECK ((cron IS NULL) <> (run_at IS NULL)),
    CONSTRAINT paused_is_whole CHECK (num_nonnulls(paused_by, paused_why, paused_at) IN (0, 3)),
    CONSTRAINT paused_has_no_slot CHECK (paused_at IS NULL OR next_slot IS NULL)
);
COMMENT ON TABLE job_team_schedules IS 'The schedules that teams made for their projects.';
CREATE INDEX job_team_schedules_project ON job_team_schedules (project_id, id);
COMMENT ON INDEX job_team_schedules_project IS 'A team''s list, by its projects; and the soft-delete cleanup.';
CREATE INDEX job_team_schedules_due ON job_team_schedules (next_slot) WHERE next_slot IS NOT NULL;
COMMENT ON INDEX job_team_schedules_due IS 'The sweep finds what is due, and health what is late.';
CREATE INDEX job_team_schedules_past ON job_team_schedules (run_at) WHERE run_at IS NOT NULL;
COMMENT ON INDEX job_team_schedules_past IS 'Retention finds those that have started once.';
CREATE UNIQUE INDEX job_team_schedules_once
    ON job_team_schedules (project_id, job_type, cron, run_at, zone, jsonb_hash_extended(params, 0)) NULLS NOT DISTINCT;
COMMENT ON INDEX job_team_schedules_once IS
    'Refuses the same schedule twice: a repeated request makes one schedule. A hash, because params may be too long.';

CREATE TABLE job_team_slots (
    schedule_id  uuid NOT NULL,                   -- not a foreign key: retention deletes the rows of a deleted schedule
    slot         timestamptz NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('started', 'skipped', 'caught_up', 'missed')),
    reason       text,                            -- why it was skipped
    run_id       uuid,                            -- the run that it started, or the live run for which it was skipped
    decided_at   timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (schedule_id, slot),
    CONSTRAINT only_skipped_has_a_reason CHECK ((reason IS NOT NULL) = (outcome = 'skipped')),
    CONSTRAINT started_has_a_run CHECK (run_id IS NOT NULL OR outcome IN ('skipped', 'missed'))
);
COMMENT ON TABLE job_team_slots IS 'The outcome of each slot of a team''s schedule.';
CREATE INDEX job_team_slots_decided ON job_team_slots (decided_at);
COMMENT ON INDEX job_team_slots_decided IS 'Retention finds the oldest slots.';

-- Which schedule started the run. Not a foreign key: the schedule may be deleted first.
ALTER TABLE job_runs ADD COLUMN schedule_id uuid;
CREATE OR REPLACE VIEW job_runs_public AS
SELECT id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at,
       completed_at, created_at, waiting_for, schedule_id
FROM job_runs;

-- Writes mails, event and success for the end of a run. Safe to repeat. It reads the platform's tables, so each part
-- may fail, but only by itself (a block with EXCEPTION is a subtransaction): the error is stored in the run, and the
-- sweep calls this again. A statement timeout is not caught, so the wait for locks of other sessions is short.
CREATE OR REPLACE FUNCTION tell_of_ending(ended job_runs) RETURNS text LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
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
        -- A system run's mail goes to the operator; a project run's to the person who triggered it or made its schedule,
        -- if still a member.
        IF ended.schedule_id IS NOT NULL AND ended.notify THEN
            asked_by := (SELECT string_to_array(created_by, ':') FROM job_team_schedules WHERE id = ended.schedule_id);
        END IF;
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

INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_api', 'job_team_schedules', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('nightshift_api', 'job_team_slots', '{SELECT}'),
    ('nightshift_worker', 'job_team_schedules', '{"SELECT (id, created_by)"}'),
    ('nightshift_maintenance', 'job_team_schedules', '{SELECT,DELETE}'),
    ('nightshift_sweep', 'job_team_schedules', '{SELECT,UPDATE,DELETE}'),
    ('nightshift_sweep', 'job_team_slots', '{SELECT,INSERT,DELETE}'),
    ('nightshift_sweep', 'project_integrations', '{"SELECT (project_id, provider, config, deleted_at)"}'),
    ('nightshift_operate', 'job_team_schedules', '{SELECT}'),
    ('nightshift_operate', 'job_team_slots', '{SELECT}');
SELECT grant_job_rights();
