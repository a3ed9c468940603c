-- The schema in which Nightshift is installed, if this session's search_path does not find it: migrating would then
-- start again in another schema.
SELECT quote_ident(nspname) AS schema, quote_ident(current_database()) AS database,
       current_setting('search_path') AS search_path
FROM pg_class JOIN pg_namespace namespace ON namespace.oid = relnamespace
WHERE relname = 'nightshift_migrations' AND relkind = 'r' AND to_regclass('nightshift_migrations') IS NULL
ORDER BY nspname LIMIT 1;
