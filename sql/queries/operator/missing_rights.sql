-- The rights that the functions' roles lack, as sentences; missing roles come first.
WITH needed (role, "table", privileges) AS (
    VALUES ('nightshift_app', 'job_runs', 'SELECT,INSERT,UPDATE,DELETE'),
           ('nightshift_app', 'job_slices', 'SELECT,INSERT,UPDATE,DELETE'),
           ('nightshift_app', 'job_runs_public', 'SELECT'),
           ('nightshift_app', 'job_timeline', 'SELECT'),
           ('nightshift_app', 'job_schedules', 'SELECT,UPDATE'),
           ('nightshift_app', 'job_schedule_slots', 'SELECT,INSERT,DELETE'),
           ('nightshift_app', 'job_outbox', 'SELECT,INSERT,UPDATE,DELETE'),
           ('nightshift_app', 'job_mail_shares', 'SELECT,INSERT,UPDATE,DELETE'),
           ('nightshift_app', 'job_deployment', 'SELECT'),
           ('nightshift_app', 'nightshift_migrations', 'SELECT'),
           ('nightshift_app', 'job_pauses', 'SELECT,INSERT,DELETE'),
           ('nightshift_app', 'job_successes', 'SELECT,UPDATE'),
           ('nightshift_app', 'job_set_aside', 'SELECT,INSERT,UPDATE,DELETE'),
           ('nightshift_app', 'job_sweep', 'SELECT,UPDATE'),
           ('nightshift_app', 'event_tables', 'SELECT'),
           ('nightshift_app', 'users', 'SELECT'),
           ('nightshift_app', 'teams', 'SELECT'),
           ('nightshift_app', 'team_members', 'SELECT'),
           ('nightshift_app', 'projects', 'SELECT'),
           ('nightshift_app', 'apps', 'SELECT'),
           ('nightshift_app', 'api_keys', 'SELECT'),
           ('nightshift_app', 'project_integrations', 'SELECT'),
           ('nightshift_app', 'app_users', 'SELECT,UPDATE'),
           ('nightshift_maintenance', 'teams', 'DELETE,UPDATE (deleted_at)'),
           ('nightshift_maintenance', 'team_members', 'DELETE'),
           ('nightshift_maintenance', 'projects', 'DELETE,UPDATE (deleted_at)'),
           ('nightshift_maintenance', 'apps', 'DELETE,UPDATE (deleted_at)'),
           ('nightshift_maintenance', 'api_keys', 'DELETE,UPDATE (deleted_at)'),
           ('nightshift_maintenance', 'project_integrations', 'DELETE,UPDATE (deleted_at)'),
           ('nightshift_maintenance', 'app_users', 'DELETE'),
           ('nightshift_maintenance', 'event_deletions', 'SELECT,INSERT,UPDATE')
    UNION ALL
    -- Not every platform has definition tables, and they may be newer than the grants.
    SELECT 'nightshift_maintenance', definitions, 'SELECT,DELETE,UPDATE (deleted_at)'
    FROM unnest(ARRAY['metric_definitions', 'funnel_definitions']) AS definitions
    WHERE to_regclass(definitions) IS NOT NULL
), roles AS (
    SELECT DISTINCT needed.role, pg_roles.oid IS NOT NULL AS is_there, coalesce(pg_roles.rolconfig, '{}') AS config
    FROM needed LEFT JOIN pg_roles ON pg_roles.rolname = needed.role
)
SELECT format('there is no role %s', role) AS lacking FROM roles WHERE NOT is_there
UNION ALL
SELECT coalesce(hidden.says, format('there is no table %s', missing."table"))
FROM (SELECT DISTINCT "table" FROM needed) AS missing
LEFT JOIN LATERAL (
    SELECT format('%s is in the schema %s, which is not in the search path of %s, or not open to it (GRANT USAGE ON SCHEMA)',
                  class.relname, class.relnamespace::regnamespace, current_user) AS says
    FROM pg_class class WHERE class.relname = missing."table" AND class.relkind IN ('r', 'p', 'v', 'm', 'f')
    ORDER BY class.relnamespace LIMIT 1
) AS hidden ON true
WHERE to_regclass(missing."table") IS NULL
UNION ALL
SELECT format('%s may not %s %s', needed.role, privilege, needed."table")
FROM needed JOIN roles ON roles.role = needed.role AND roles.is_there,
     LATERAL unnest(string_to_array(needed.privileges, ',')) AS privilege
WHERE NOT coalesce(
    CASE privilege
        -- Locking a row requires the right to update at least one of its columns.
        WHEN 'UPDATE (deleted_at)' THEN has_any_column_privilege(roles.role, to_regclass(needed."table"), 'UPDATE')
        ELSE has_table_privilege(roles.role, to_regclass(needed."table"), privilege)
    END, true)
UNION ALL
-- Without time limits, a frozen Lambda would hold its row locks forever.
SELECT format('%s has no %s of its own', role, setting)
FROM roles,
     unnest(ARRAY['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'timezone']) AS setting
WHERE is_there AND NOT EXISTS (SELECT FROM unnest(config) AS own WHERE lower(own) LIKE setting || '=%')
UNION ALL
SELECT format('%s belongs to %s, of which nightshift_maintenance is no member', class.oid::regclass,
              class.relowner::regrole)
FROM unnest(ARRAY['events', 'metric_events', 'funnel_events']) AS parent (name),
     LATERAL pg_partition_tree(to_regclass(parent.name)) AS part
JOIN pg_class class ON class.oid = part.relid
JOIN pg_roles maintenance ON maintenance.rolname = 'nightshift_maintenance'
WHERE NOT pg_has_role(maintenance.oid, class.relowner, 'USAGE')
UNION ALL
-- Our roles run with row_security off: such a table raises an error instead of returning an incomplete result.
SELECT format('row-level security keeps rows of %s from %s. As a superuser: ALTER ROLE %s BYPASSRLS', class.oid::regclass,
              named.role, named.role)
FROM (SELECT role, "table" FROM needed
      UNION SELECT 'nightshift_maintenance', "table" FROM needed      -- a member of nightshift_app
      UNION SELECT 'nightshift_maintenance', unnest(ARRAY['events', 'metric_events', 'funnel_events'])) AS named
JOIN pg_class class ON class.oid = to_regclass(named."table") AND class.relrowsecurity
JOIN pg_roles role ON role.rolname = named.role AND NOT (role.rolbypassrls OR role.rolsuper)
-- The tables' owners, and members of these roles, see all rows unless row security is forced.
WHERE class.relforcerowsecurity OR NOT pg_has_role(role.oid, class.relowner, 'USAGE')
UNION ALL
SELECT format('the rule %s on %s does something else instead of what is asked for. Drop it, or make a trigger of it',
              rule.rulename, class.oid::regclass)
FROM (SELECT DISTINCT "table" FROM needed) AS named
JOIN pg_class class ON class.oid = to_regclass(named."table") AND class.relkind IN ('r', 'p')
JOIN pg_rewrite rule ON rule.ev_class = class.oid AND rule.is_instead;
