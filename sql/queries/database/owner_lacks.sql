-- What the schema owner lacks for the first installation, and for giving the roles their sign-in (:auth), as sentences.
-- Later releases need less, and their statements name it. The order is that in which a person would correct it.
WITH roles AS (
    SELECT name, to_regrole(name) AS role, name <> 'nightshift_events' AS signs_in
    FROM unnest(CAST(:roles AS text[]) || 'nightshift_events'::text) AS ours (name)
), named AS (
    SELECT class.relnamespace AS schema, class.relowner AS owner, class.oid,
           name IN ('events', 'metric_events', 'funnel_events') AS is_of_events
    FROM unnest(ARRAY['users', 'teams', 'team_members', 'projects', 'apps', 'api_keys', 'project_integrations',
                      'app_users', 'metric_definitions', 'funnel_definitions', 'events', 'metric_events',
                      'funnel_events']) AS platform (name)
    JOIN pg_class class ON class.oid = to_regclass(name)
), lacks AS (
    SELECT 1 AS place, format('The server is Postgres %s: upgrade it to 16 or newer.', current_setting('server_version'))
               AS says
    WHERE CAST(current_setting('server_version_num') AS integer) < 160000
    UNION ALL
    SELECT 2, format('No schema of its search_path exists: ALTER ROLE %I IN DATABASE %I SET search_path = public.',
                     current_user, current_database())
    WHERE current_schema IS NULL
    UNION ALL
    -- The role nightshift_events gets this right from it: a table's owner must be able to create in the schema.
    SELECT 3, format('It cannot give others the right to create in the schema %I: '
                     'GRANT CREATE ON SCHEMA %I TO %I WITH GRANT OPTION.', current_schema, current_schema, current_user)
    WHERE NOT has_schema_privilege(current_schema, 'CREATE WITH GRANT OPTION')
    UNION ALL
    SELECT DISTINCT 4, format('It cannot let others use the schema %s: GRANT USAGE ON SCHEMA %s TO %I WITH GRANT OPTION.',
                              CAST(schema AS regnamespace), CAST(schema AS regnamespace), current_user)
    FROM named
    WHERE NOT has_schema_privilege(schema, 'USAGE WITH GRANT OPTION') AND NOT has_schema_privilege('public', schema, 'USAGE')
    UNION ALL
    SELECT DISTINCT 5, format('It has not the rights of %s, which owns tables of the platform: GRANT %s TO %I.',
                              CAST(owner AS regrole), CAST(owner AS regrole), current_user)
    FROM named
    WHERE NOT pg_has_role(owner, 'USAGE')
      AND (is_of_events OR NOT has_table_privilege(oid, 'SELECT WITH GRANT OPTION'))
    UNION ALL
    SELECT 6, format('It cannot create roles: ALTER ROLE %I CREATEROLE.', current_user)
    FROM pg_roles WHERE rolname = current_user AND NOT (rolcreaterole OR rolsuper)
    UNION ALL
    SELECT 7, format('It cannot change the role %s, which another role created: GRANT %s TO %I WITH ADMIN OPTION.',
                     name, name, current_user)
    FROM roles WHERE role IS NOT NULL AND NOT pg_has_role(role, 'MEMBER WITH ADMIN OPTION')
    UNION ALL
    SELECT 8, format('The roles already sign in to Nightshift in the database %I of this server, with passwords of another '
                     'stack: sign in with IAM there and here, or use another server.', datname)
    FROM pg_db_role_setting pinned
    JOIN pg_database other ON other.oid = pinned.setdatabase AND other.datname <> current_database()
    WHERE pinned.setrole = to_regrole('nightshift_api') AND CAST(:auth AS text) = 'secret'
)
SELECT says FROM lacks WHERE to_regclass('job_rights') IS NULL
UNION ALL
SELECT 'The server has no role rds_iam, so it is not of RDS: set DatabaseSignIn=password.'
WHERE CAST(:auth AS text) = 'iam' AND to_regrole('rds_iam') IS NULL
UNION ALL
SELECT format('It cannot let roles sign in with tokens: GRANT rds_iam TO %I WITH ADMIN OPTION.', current_user)
WHERE CAST(:auth AS text) = 'iam' AND NOT pg_has_role(to_regrole('rds_iam'), 'MEMBER WITH ADMIN OPTION')
  AND EXISTS (SELECT FROM roles WHERE signs_in AND NOT EXISTS (
      SELECT FROM pg_auth_members WHERE member = roles.role AND roleid = to_regrole('rds_iam')));
