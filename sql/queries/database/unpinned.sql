-- Settings that our roles' sessions in this database, and our functions, would inherit from others, with the statement
-- that pins each. search_path is pinned to the value of nightshift_api or, before that is pinned, to the schemas of
-- this session. Settings that this server does not have, or that the caller may not set, are left out; for the caller's
-- own role they are listed if their value is wrong.
WITH here AS (
    SELECT oid, datname FROM pg_database WHERE datname = current_database()
), roles AS (
    SELECT role.rolname AS name, coalesce(pinned.setconfig, '{}') AS config
    FROM pg_roles role CROSS JOIN here
    LEFT JOIN pg_db_role_setting pinned ON pinned.setrole = role.oid AND pinned.setdatabase = here.oid
    WHERE role.rolname = ANY (CAST(:roles AS text[]))
), path AS (
    SELECT coalesce(
        (SELECT substr(entry, length('search_path=') + 1) FROM roles, unnest(config) AS entry
         WHERE roles.name = 'nightshift_api' AND entry LIKE 'search_path=%'),
        (SELECT string_agg(quote_ident(schema), ', ' ORDER BY place) || ', pg_temp'
         FROM unnest(current_schemas(false)) WITH ORDINALITY AS found (schema, place) WHERE schema NOT LIKE 'pg_temp%')
    ) AS value
), wanted AS (
    SELECT name, value, quote_literal(value) AS written
    FROM unnest(CAST(:names AS text[]), CAST(:values AS text[])) AS pin (name, value)
    UNION ALL SELECT 'search_path', value, value FROM path WHERE value IS NOT NULL
)
SELECT roles.name AS subject, wanted.name AS setting, found.value AS found, wanted.value AS wanted,
       format('ALTER ROLE %I IN DATABASE %I SET %s = %s', roles.name, here.datname, wanted.name, wanted.written)
           AS statement
FROM here CROSS JOIN roles CROSS JOIN wanted
LEFT JOIN pg_settings known ON lower(known.name) = lower(wanted.name)
LEFT JOIN LATERAL (
    -- An empty list is stored as a list of one empty name.
    SELECT replace(substr(entry, strpos(entry, '=') + 1), '""', '') AS value FROM unnest(roles.config) AS entry
    WHERE lower(split_part(entry, '=', 1)) = lower(wanted.name)
) AS found ON true
WHERE found.value IS DISTINCT FROM wanted.value AND current_setting(wanted.name, true) IS NOT NULL
  AND (coalesce(known.context, 'user') = 'user' OR has_parameter_privilege(wanted.name, 'SET')
       OR (roles.name = current_user AND current_setting(wanted.name) <> wanted.value))
UNION ALL
SELECT format('function %s', function.oid::regprocedure), 'search_path', found.value, path.value,
       format('ALTER FUNCTION %s SET search_path = %s', function.oid::regprocedure, path.value)
FROM path CROSS JOIN pg_proc function
LEFT JOIN LATERAL (
    SELECT substr(entry, length('search_path=') + 1) AS value FROM unnest(function.proconfig) AS entry
    WHERE entry LIKE 'search_path=%'
) AS found ON true
WHERE function.proname = ANY (CAST(:functions AS text[]))
  AND function.pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('job_runs'))
  AND found.value IS DISTINCT FROM path.value
ORDER BY subject, setting;
