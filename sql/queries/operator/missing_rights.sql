-- The rights that the functions' roles lack, as sentences; missing roles come first.
WITH needed AS (
    -- Several job types may declare the same right.
    SELECT DISTINCT role, table_name AS "table", privilege
    FROM job_rights, unnest(privileges) AS privilege
    -- Not every platform has the optional tables, and they may be newer than the grants.
    WHERE NOT optional OR to_regclass(table_name) IS NOT NULL
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
     -- A privilege may name columns, as in SELECT (id, created_by).
     regexp_match(privilege, '^(\w+)(?: \((.+)\))?$') AS part (word)
WHERE NOT CASE WHEN part.word[2] IS NULL THEN has_table_privilege(roles.role, to_regclass(needed."table"), part.word[1])
    ELSE (SELECT bool_and(has_column_privilege(roles.role, to_regclass(needed."table"), name, part.word[1]))
          FROM unnest(string_to_array(part.word[2], ', ')) AS name)
    END
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
