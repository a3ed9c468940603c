-- The roles that the functions connect as, and what each may do.

-- nightshift_app reads and writes rows and owns nothing. nightshift_maintenance is the role of the system jobs: it has
-- the rights of nightshift_app, may delete soft-deleted rows, and is a member of nightshift_events, which owns the event
-- tables: only a table's owner may attach and detach partitions.
-- Time limits are set here and not by SET statements, because a connection proxy pins a session that uses SET.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['nightshift_events', 'nightshift_app', 'nightshift_maintenance'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this server created it
        END;
    END LOOP;
    FOREACH role IN ARRAY ARRAY['nightshift_app', 'nightshift_maintenance'] LOOP
        EXECUTE format('ALTER ROLE %I LOGIN', role);
        EXECUTE format('ALTER ROLE %I SET statement_timeout = ''30s''', role);
        EXECUTE format('ALTER ROLE %I SET lock_timeout = ''5s''', role);
        -- A frozen Lambda may hold the lock of a run's row. Without this limit, the sweep could never take over the run.
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''10s''', role);
        EXECUTE format('ALTER ROLE %I SET timezone = ''UTC''', role);
        -- Optional filters only fold away if a statement is planned with its values.
        EXECUTE format('ALTER ROLE %I SET plan_cache_mode = ''force_custom_plan''', role);
        BEGIN
            -- A statement whose function gave up or died must not keep its locks and use up the server.
            EXECUTE format('ALTER ROLE %I SET client_connection_check_interval = ''2s''', role);
        EXCEPTION WHEN invalid_parameter_value THEN NULL;       -- not supported on every operating system
        END;
        BEGIN
            -- On RDS: sign in with an IAM token instead of a password.
            EXECUTE format('GRANT rds_iam TO %I', role);
        EXCEPTION WHEN undefined_object THEN NULL;
        END;
    END LOOP;
END $$;
GRANT nightshift_app, nightshift_events TO nightshift_maintenance;

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

-- The tables of the platform.
GRANT SELECT ON users, teams, team_members, projects, apps, api_keys, project_integrations TO nightshift_app;
GRANT SELECT, UPDATE ON app_users TO nightshift_app;
GRANT DELETE ON teams, team_members, projects, apps, api_keys, project_integrations, app_users TO nightshift_maintenance;
DO $$
DECLARE
    resource text;
BEGIN
    -- Not every platform has tables of definitions.
    FOREACH resource IN ARRAY ARRAY['metric_definitions', 'funnel_definitions'] LOOP
        IF to_regclass(resource) IS NOT NULL THEN
            EXECUTE format('GRANT SELECT, DELETE ON %I TO nightshift_maintenance', resource);
        END IF;
    END LOOP;
    -- The cleanup locks resources before it deletes them, which needs the right to update at least one column.
    FOREACH resource IN ARRAY ARRAY['teams', 'projects', 'apps', 'api_keys', 'project_integrations',
                                    'metric_definitions', 'funnel_definitions'] LOOP
        IF to_regclass(resource) IS NOT NULL THEN
            EXECUTE format('GRANT UPDATE (deleted_at) ON %I TO nightshift_maintenance', resource);
        END IF;
    END LOOP;
END $$;

-- The tables of the jobs.
GRANT SELECT, INSERT, UPDATE, DELETE ON job_runs, job_slices, job_outbox, job_mail_shares, job_set_aside
    TO nightshift_app;
GRANT SELECT, UPDATE ON job_schedules, job_successes, job_sweep TO nightshift_app;
GRANT SELECT, INSERT, DELETE ON job_schedule_slots, job_pauses TO nightshift_app;
-- The operator's `doctor` compares the applied migrations with those of its release.
GRANT SELECT ON job_runs_public, job_timeline, job_deployment, nightshift_migrations TO nightshift_app;
GRANT SELECT, INSERT, UPDATE ON event_deletions TO nightshift_maintenance;
GRANT SELECT ON event_tables TO nightshift_app, nightshift_events;
GRANT SELECT ON event_partitions TO nightshift_events;

-- The rights that PUBLIC has by default, but a platform may have revoked: use the schemas of the tables that we name, and call
-- our functions. The end of each run calls tell_of_ending.
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
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO nightshift_app, nightshift_events', place);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION tell_of_ending(job_runs) TO nightshift_app;
GRANT EXECUTE ON FUNCTION event_tree(), event_gaps(timestamptz, timestamptz) TO nightshift_app, nightshift_events;
GRANT EXECUTE ON FUNCTION create_event_partition(text, timestamptz, timestamptz) TO nightshift_events;
GRANT EXECUTE ON FUNCTION
    drop_detached_partition(oid, text), cleanup_is_on_its_own(text), cleanup_refusal(text, text, text, text),
    cleanup_due(text, timestamptz, uuid[], uuid, integer), cleanup_hold(text, uuid, timestamptz, uuid, uuid),
    cleanup_extent(text, text, uuid, text), cleanup_batch(text, text, uuid, text, text, text, integer),
    cleanup_runs(uuid, uuid, timestamptz, timestamptz, integer), cleanup_resource(text, uuid),
    cleanup_estimate(timestamptz, text[])
TO nightshift_maintenance;
