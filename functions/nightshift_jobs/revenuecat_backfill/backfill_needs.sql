-- The backfill cannot create users if a right is missing, or if columns need a value that it does not know.
SELECT has_column_privilege('app_users', 'project_id', 'INSERT') AND has_column_privilege('app_users', 'user_id', 'INSERT')
           AS may_insert,
       (SELECT string_agg(CAST(attname AS text), ', ' ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = to_regclass('app_users') AND attnum > 0 AND NOT attisdropped
          AND attnotnull AND NOT atthasdef AND attidentity = '' AND attname NOT IN ('project_id', 'user_id')) AS required;
