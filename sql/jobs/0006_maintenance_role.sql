-- The role of the system jobs. It has the rights of nightshift_app, may delete soft-deleted rows, and is a member of
-- the role that owns the event tables: only a table's owner may attach and detach partitions.
DO $$ BEGIN
    CREATE ROLE nightshift_events NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;   -- another database of this server already created it
END $$;
DO $$ BEGIN
    CREATE ROLE nightshift_maintenance LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
    GRANT rds_iam TO nightshift_maintenance;
EXCEPTION WHEN undefined_object THEN NULL;
END $$;

GRANT nightshift_app, nightshift_events TO nightshift_maintenance;
ALTER ROLE nightshift_maintenance SET statement_timeout = '30s';
ALTER ROLE nightshift_maintenance SET lock_timeout = '5s';
ALTER ROLE nightshift_maintenance SET idle_in_transaction_session_timeout = '10s';
DO $$ BEGIN
    ALTER ROLE nightshift_maintenance SET client_connection_check_interval = '2s';
EXCEPTION WHEN invalid_parameter_value THEN NULL;
END $$;
ALTER ROLE nightshift_maintenance SET timezone = 'UTC';
ALTER ROLE nightshift_maintenance SET plan_cache_mode = 'force_custom_plan';

-- The previous owners become members of the new owner: they keep all rights on these tables and get no others.
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

GRANT DELETE ON teams, team_members, projects, apps, api_keys, project_integrations, app_users TO nightshift_maintenance;

-- The audit of deleted events: how many, of which project, from which table, and why.
CREATE TABLE event_deletions (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    run_id      uuid NOT NULL,                    -- not a foreign key: this row outlives the run
    project_id  uuid NOT NULL,                    -- not a foreign key: the project is deleted
    event_table text NOT NULL,
    reason      text NOT NULL,
    cutoff      timestamptz NOT NULL,             -- resources soft-deleted before this time were due
    deleted     bigint NOT NULL CHECK (deleted > 0),
    created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (run_id, project_id, event_table, reason)
);
CREATE INDEX event_deletions_project ON event_deletions (project_id, created_at);
GRANT SELECT, INSERT, UPDATE ON event_deletions TO nightshift_maintenance;

-- Definition tables belong to the platform, and not every platform has them.
DO $$
DECLARE
    definitions regclass;
BEGIN
    FOREACH definitions IN ARRAY ARRAY[to_regclass('metric_definitions'), to_regclass('funnel_definitions')] LOOP
        IF definitions IS NOT NULL THEN
            EXECUTE format('GRANT SELECT, DELETE ON %s TO nightshift_maintenance', definitions);
        END IF;
    END LOOP;
END $$;
