-- The schema in which Nightshift was set up, where this session would not find it and would begin anew in another.
SELECT quote_ident(nspname) AS schema, quote_ident(current_database()) AS database,
       current_setting('search_path') AS search_path
FROM pg_class JOIN pg_namespace namespace ON namespace.oid = relnamespace
WHERE relname = 'nightshift_migrations' AND relkind = 'r' AND to_regclass('nightshift_migrations') IS NULL
ORDER BY nspname LIMIT 1;
