-- Besides mails, the outbox takes an event for each ending, for others to react to. It is written where the deployment
-- has a bus to put it on, and nowhere else: it costs a row, a message and an invocation per run.

-- What the deployment was told and a statement has to know. Written by each deployment from the template's parameters.
CREATE TABLE job_deployment (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    wants_events  boolean NOT NULL
);
INSERT INTO job_deployment (wants_events) VALUES (false);
GRANT SELECT ON job_deployment TO nightshift_app;

ALTER TABLE job_outbox
    ADD COLUMN kind text NOT NULL DEFAULT 'mail' CHECK (kind IN ('mail', 'event')),
    ADD CONSTRAINT event_is_of_a_run CHECK (kind <> 'event' OR (run_id IS NOT NULL AND recipient IS NULL));
-- One mail per run and recipient, one event per run.
DROP INDEX job_outbox_once;
CREATE UNIQUE INDEX job_outbox_once ON job_outbox (run_id, kind, recipient) NULLS NOT DISTINCT WHERE run_id IS NOT NULL;

-- Whoever ends a run, in whatever statement: the worker, the sweep, a cancel, a person with psql.
-- A run's mail goes to the person who asked for it, if that person is still in the team; a system run's to the owner.
CREATE OR REPLACE FUNCTION announce_ending() RETURNS trigger LANGUAGE plpgsql AS $$
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
        WHERE person.deleted_at IS NULL
          AND person.id = CASE asked_by[2]
              WHEN 'user' THEN CAST(asked_by[3] AS uuid)
              WHEN 'api_key' THEN (SELECT created_by FROM api_keys WHERE id = CAST(asked_by[3] AS uuid)) END;
    END IF;
    RETURN NULL;
END $$;
