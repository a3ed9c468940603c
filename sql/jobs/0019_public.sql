-- Grants our roles the rights that PUBLIC has by default but that a platform may have revoked: to use the schemas of
-- the tables that we name, and to call our functions. The end of every run calls the first one.
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
GRANT EXECUTE ON FUNCTION
    create_month_partition(text, date), drop_detached_partition(oid, text),
    cleanup_is_on_its_own(text), cleanup_refusal(text, text, text, text),
    cleanup_due(text, timestamptz, uuid[], uuid, integer), cleanup_hold(text, uuid, timestamptz, uuid, uuid),
    cleanup_extent(text, text, uuid, text), cleanup_batch(text, text, uuid, text, text, text, integer),
    cleanup_runs(uuid, uuid, timestamptz, timestamptz, integer), cleanup_resource(text, uuid),
    cleanup_estimate(timestamptz, text[])
TO nightshift_maintenance;
