-- Applies the settings of unpinned.sql to this session. search_path is the one that nightshift_api has here.
SELECT set_config(wanted.name, wanted.value, false)
FROM unnest(CAST(:names AS text[]), CAST(:values AS text[])) AS wanted (name, value)
LEFT JOIN pg_settings known ON lower(known.name) = lower(wanted.name)
WHERE current_setting(wanted.name, true) IS NOT NULL
  AND (coalesce(known.context, 'user') = 'user' OR has_parameter_privilege(wanted.name, 'SET'))
UNION ALL
SELECT set_config('search_path', substr(entry, length('search_path=') + 1), false)
FROM pg_db_role_setting pinned
JOIN pg_database here ON here.oid = pinned.setdatabase AND here.datname = current_database()
JOIN pg_roles role ON role.oid = pinned.setrole AND role.rolname = 'nightshift_api',
     unnest(pinned.setconfig) AS entry
WHERE entry LIKE 'search_path=%';
