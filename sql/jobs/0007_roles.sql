-- The roles that the functions connect as, and their rights. Each group of functions has its own role, with the rights
-- that the statements of these functions need, and no others:
--   nightshift_api          api
--   nightshift_worker       worker, except for a slice of a system job
--   nightshift_maintenance  worker, for a slice of a system job
--   nightshift_sweep        sweep, schedule
--   nightshift_notify       notify, announce
--   nightshift_operate      operate
--   nightshift_setup        setup
-- They own nothing. nightshift_maintenance is also a member of nightshift_events, which owns the event tables: only a
-- table's owner may attach and detach partitions.
-- Time limits are set here and not by SET statements, because a connection proxy pins a session that uses SET. How the
-- roles sign in is not set here, because it is a parameter of each deployment.
DO $$
DECLARE
    functions CONSTANT text[] := ARRAY['nightshift_api', 'nightshift_worker', 'nightshift_maintenance',
                                       'nightshift_sweep', 'nightshift_notify', 'nightshift_operate',
                                       'nightshift_setup'];
    role text;
BEGIN
    FOREACH role IN ARRAY functions || 'nightshift_events'::text LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this server created it
        END;
    END LOOP;
    FOREACH role IN ARRAY functions LOOP
        EXECUTE format('ALTER ROLE %I LOGIN', role);
        EXECUTE format('ALTER ROLE %I SET statement_timeout = ''30s''', role);
        EXECUTE format('ALTER ROLE %I SET lock_timeout = ''5s''', role);
        -- A frozen Lambda may hold the lock of a run's row. Without this limit, the sweep could never take over the run.
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''10s''', role);
        EXECUTE format('ALTER ROLE %I SET timezone = ''UTC''', role);
        BEGIN
            -- A statement whose function gave up or died must not keep its locks and use up the server.
            EXECUTE format('ALTER ROLE %I SET client_connection_check_interval = ''2s''', role);
        EXCEPTION WHEN invalid_parameter_value THEN NULL;       -- not supported on every operating system
        END;
    END LOOP;
END $$;
GRANT nightshift_events TO nightshift_maintenance;

-- The previous owners of the event tables become members of the new owner: they keep all rights on these tables and get
-- no others.
DO $$
DECLARE
    found record;
BEGIN
    EXECUTE format('GRANT nightshift_events TO %I', current_user);
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO nightshift_events', current_schema);
    FOR found IN
        SELECT class.oid::regclass AS name, class.relowner::regrole AS owner
        FROM pg_class class
        WHERE class.oid IN (SELECT partition.relid
                            FROM (VALUES ('events'), ('metric_events'), ('funnel_events')) AS parent (name),
                                 LATERAL pg_partition_tree(to_regclass(parent.name)) AS partition)
          AND class.relowner <> 'nightshift_events'::regrole
    LOOP
        EXECUTE format('GRANT nightshift_events TO %s', found.owner);
        EXECUTE format('ALTER TABLE %s OWNER TO nightshift_events', found.name);
    END LOOP;
END $$;

-- The rights of each role on each table. The statements of a later release may need more: its migration adds rows and
-- calls grant_job_rights. The operator's `doctor` compares them with the rights that the roles have.
CREATE TABLE job_rights (
    role         text NOT NULL,
    table_name   text NOT NULL,
    privileges   text[] NOT NULL CHECK (
        cardinality(privileges) > 0
        AND array_to_string(privileges, ';', '')
            ~ '^((SELECT|INSERT|UPDATE)( \(\w+(, \w+)*\))?|DELETE)(;((SELECT|INSERT|UPDATE)( \(\w+(, \w+)*\))?|DELETE))*$'),
    declared_by  text NOT NULL DEFAULT '',           -- the job type whose folder declares it; empty: a migration
    optional     boolean NOT NULL DEFAULT false,     -- not every platform has this table
    PRIMARY KEY (role, table_name, declared_by)
);
COMMENT ON TABLE job_rights IS 'The rights that the statements of the functions need, for each role and table.';

CREATE FUNCTION grant_job_rights() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    needed   job_rights;
    granted  text;
BEGIN
    FOR needed IN SELECT * FROM job_rights LOOP
        CONTINUE WHEN needed.optional AND to_regclass(quote_ident(needed.table_name)) IS NULL;
        granted := format('GRANT %s ON %I TO %I', array_to_string(needed.privileges, ', '), needed.table_name, needed.role);
        BEGIN
            EXECUTE granted;
        EXCEPTION WHEN undefined_table OR undefined_column OR insufficient_privilege THEN
            RAISE EXCEPTION '% (%, as % declares)', SQLERRM, granted, coalesce(nullif(needed.declared_by, ''), 'a migration')
                USING ERRCODE = SQLSTATE;
        END;
    END LOOP;
END $$;

-- Replaces what the job types of an earlier release declared: {"rights": [{role, table_name, privileges, declared_by}]}.
CREATE FUNCTION declare_job_rights(declared jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    earlier job_rights;
BEGIN
    -- Two deployments take turns. Each statement below sees what the other one has committed.
    LOCK TABLE job_rights IN SHARE ROW EXCLUSIVE MODE;
    FOR earlier IN DELETE FROM job_rights WHERE declared_by <> '' RETURNING * LOOP
        IF to_regclass(quote_ident(earlier.table_name)) IS NOT NULL THEN
            EXECUTE format('REVOKE %s ON %I FROM %I', array_to_string(earlier.privileges, ', '), earlier.table_name,
                           earlier.role);
        END IF;
    END LOOP;
    INSERT INTO job_rights (role, table_name, privileges, declared_by)
    SELECT role, table_name, privileges, declared_by
    FROM jsonb_to_recordset(declared -> 'rights')
         AS job (role text, table_name text, privileges text[], declared_by text);
    PERFORM grant_job_rights();
END $$;

-- The end of each run calls tell_of_ending, which finds the person to mail: by the creator of the key, but not its hash.
INSERT INTO job_rights (role, table_name, privileges)
SELECT role, table_name, privileges
FROM unnest(ARRAY['nightshift_api', 'nightshift_worker', 'nightshift_sweep', 'nightshift_operate']) AS role,
     (VALUES ('job_deployment', ARRAY['SELECT']), ('projects', ARRAY['SELECT']), ('users', ARRAY['SELECT']),
             ('team_members', ARRAY['SELECT'])) AS of_all (table_name, privileges);

INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_api', 'job_runs', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_api', 'job_runs_public', '{SELECT}'),
    ('nightshift_api', 'job_timeline', '{SELECT}'),
    ('nightshift_api', 'job_outbox', '{SELECT,INSERT}'),
    ('nightshift_api', 'job_pauses', '{SELECT}'),
    ('nightshift_api', 'teams', '{SELECT}'),
    ('nightshift_api', 'apps', '{SELECT}'),
    ('nightshift_api', 'api_keys', '{SELECT}'),
    -- Whether there is an integration, but not its secret; and how many users there are.
    ('nightshift_api', 'project_integrations', '{"SELECT (project_id, provider, deleted_at)"}'),
    ('nightshift_api', 'app_users', '{"SELECT (project_id)"}'),

    ('nightshift_worker', 'job_runs', '{SELECT,UPDATE}'),
    ('nightshift_worker', 'job_slices', '{INSERT}'),
    ('nightshift_worker', 'job_outbox', '{SELECT,INSERT}'),
    ('nightshift_worker', 'api_keys', '{"SELECT (id, created_by)"}'),

    ('nightshift_sweep', 'job_runs', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('nightshift_sweep', 'job_slices', '{SELECT,INSERT,DELETE}'),
    ('nightshift_sweep', 'job_outbox', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('nightshift_sweep', 'job_mail_shares', '{SELECT,DELETE}'),
    ('nightshift_sweep', 'job_pauses', '{SELECT}'),
    ('nightshift_sweep', 'job_schedules', '{SELECT,UPDATE}'),
    ('nightshift_sweep', 'job_schedule_slots', '{SELECT,INSERT,DELETE}'),
    ('nightshift_sweep', 'job_successes', '{SELECT,UPDATE}'),
    ('nightshift_sweep', 'job_sweep', '{SELECT,UPDATE}'),
    ('nightshift_sweep', 'job_set_aside', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('nightshift_sweep', 'teams', '{SELECT}'),
    ('nightshift_sweep', 'api_keys', '{"SELECT (id, created_by)"}'),

    ('nightshift_notify', 'job_runs_public', '{SELECT}'),
    ('nightshift_notify', 'job_outbox', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_notify', 'job_mail_shares', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_notify', 'projects', '{SELECT}'),
    ('nightshift_notify', 'teams', '{SELECT}'),

    ('nightshift_operate', 'job_runs', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_operate', 'job_runs_public', '{SELECT}'),
    ('nightshift_operate', 'job_timeline', '{SELECT}'),
    ('nightshift_operate', 'job_outbox', '{SELECT,INSERT}'),
    ('nightshift_operate', 'job_pauses', '{SELECT,INSERT,DELETE}'),
    ('nightshift_operate', 'job_schedules', '{SELECT}'),
    ('nightshift_operate', 'job_schedule_slots', '{SELECT}'),
    ('nightshift_operate', 'job_successes', '{SELECT,UPDATE}'),
    ('nightshift_operate', 'job_sweep', '{SELECT}'),
    ('nightshift_operate', 'job_set_aside', '{SELECT}'),
    ('nightshift_operate', 'job_rights', '{SELECT}'),
    ('nightshift_operate', 'nightshift_migrations', '{SELECT}'),
    ('nightshift_operate', 'event_tables', '{SELECT}'),
    ('nightshift_operate', 'teams', '{SELECT}'),
    ('nightshift_operate', 'api_keys', '{"SELECT (id, created_by)"}'),

    -- Locking a row needs the right to update at least one of its columns.
    ('nightshift_setup', 'users', '{SELECT,INSERT,"UPDATE (email)"}'),
    ('nightshift_setup', 'teams', '{SELECT,INSERT,"UPDATE (slug)"}'),
    ('nightshift_setup', 'team_members', '{SELECT,INSERT,"UPDATE (role)",DELETE}'),
    ('nightshift_setup', 'projects', '{SELECT,INSERT}'),
    ('nightshift_setup', 'api_keys', '{SELECT,INSERT,"UPDATE (deleted_at)"}'),
    ('nightshift_setup', 'project_integrations',
     '{SELECT,INSERT,"UPDATE (config, secret_encrypted, updated_at)"}'),

    ('nightshift_maintenance', 'job_runs', '{SELECT,UPDATE,DELETE}'),
    ('nightshift_maintenance', 'job_slices', '{SELECT,INSERT,DELETE}'),
    ('nightshift_maintenance', 'job_outbox', '{SELECT,INSERT,DELETE}'),
    ('nightshift_maintenance', 'job_successes', '{SELECT,UPDATE}'),
    ('nightshift_maintenance', 'job_deployment', '{SELECT}'),
    ('nightshift_maintenance', 'event_deletions', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_maintenance', 'users', '{SELECT}'),
    ('nightshift_maintenance', 'teams', '{SELECT,"UPDATE (deleted_at)",DELETE}'),
    ('nightshift_maintenance', 'team_members', '{SELECT,DELETE}'),
    ('nightshift_maintenance', 'projects', '{SELECT,"UPDATE (deleted_at)",DELETE}'),
    ('nightshift_maintenance', 'apps', '{SELECT,"UPDATE (deleted_at)",DELETE}'),
    ('nightshift_maintenance', 'api_keys', '{SELECT,"UPDATE (deleted_at)",DELETE}'),
    ('nightshift_maintenance', 'project_integrations', '{SELECT,"UPDATE (deleted_at)",DELETE}'),
    ('nightshift_maintenance', 'app_users', '{SELECT,DELETE}');

INSERT INTO job_rights (role, table_name, privileges, optional) VALUES
    ('nightshift_maintenance', 'metric_definitions', '{SELECT,"UPDATE (deleted_at)",DELETE}', true),
    ('nightshift_maintenance', 'funnel_definitions', '{SELECT,"UPDATE (deleted_at)",DELETE}', true);
SELECT grant_job_rights();
GRANT SELECT ON event_tables, event_partitions TO nightshift_events;

-- A platform may have revoked what PUBLIC may do by default: use the schemas of the tables that we name, and call our
-- functions. The end of each run calls tell_of_ending.
DO $$
DECLARE
    place regnamespace;
BEGIN
    FOR place IN
        SELECT DISTINCT CAST(class.relnamespace AS regnamespace)
        FROM unnest(ARRAY['job_runs', 'users', 'teams', 'team_members', 'projects', 'apps', 'api_keys',
                          'project_integrations', 'app_users', 'metric_definitions', 'funnel_definitions',
                          'events', 'metric_events', 'funnel_events']) AS named (name)
        JOIN pg_class class ON class.oid = to_regclass(named.name)
    LOOP
        EXECUTE format(
            'GRANT USAGE ON SCHEMA %s TO nightshift_api, nightshift_worker, nightshift_maintenance, nightshift_sweep,
             nightshift_notify, nightshift_operate, nightshift_setup, nightshift_events', place);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION tell_of_ending(job_runs)
    TO nightshift_api, nightshift_worker, nightshift_maintenance, nightshift_sweep, nightshift_operate;
GRANT EXECUTE ON FUNCTION event_tree(), event_gaps(timestamptz, timestamptz) TO nightshift_operate, nightshift_events;
GRANT EXECUTE ON FUNCTION create_event_partition(text, timestamptz, timestamptz) TO nightshift_events;
GRANT EXECUTE ON FUNCTION
    drop_detached_partition(oid, text), cleanup_is_on_its_own(text), cleanup_refusal(text, text, text, text),
    cleanup_due(text, timestamptz, uuid[], uuid, integer), cleanup_hold(text, uuid, timestamptz, uuid, uuid),
    cleanup_extent(text, text, uuid, text), cleanup_batch(text, text, uuid, text, text, text, integer),
    cleanup_runs(uuid, uuid, timestamptz, timestamptz, integer), cleanup_resource(text, uuid),
    cleanup_estimate(timestamptz, text[])
TO nightshift_maintenance;
