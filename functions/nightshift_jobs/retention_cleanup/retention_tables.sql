-- Each table with the reason, as a clause, why the job cannot work with it: null if it can. The role sees a table only in
-- its search path. Locking a row requires a column that the role may update. Without the index each step would read
-- all partitions that hold expired events.
SELECT name, relation IS NULL AS is_missing,
       CASE WHEN relation IS NULL THEN NULL
            WHEN NOT (has_table_privilege(relation, 'SELECT')
                      AND (NOT is_of_events OR has_table_privilege(relation, 'DELETE'))
                      AND (name <> ALL (CAST(:locked AS text[])) OR has_any_column_privilege(relation, 'UPDATE')))
            THEN 'nightshift_maintenance lacks a right to it: see docs/platform.md'
            WHEN row_security_active(relation) THEN 'row-level security may hide its rows: ALTER ROLE nightshift_maintenance BYPASSRLS'
            WHEN is_of_events AND NOT EXISTS (
                SELECT FROM pg_attribute
                WHERE attrelid = relation AND attname = 'timestamp'
                  AND atttypid IN (CAST('timestamptz' AS regtype), CAST('timestamp' AS regtype)))
            THEN 'its column "timestamp" is not a timestamptz or a timestamp'
            WHEN is_of_events AND NOT EXISTS (
                SELECT FROM pg_index JOIN pg_class class ON class.oid = indexrelid JOIN pg_am am ON am.oid = class.relam
                JOIN pg_attribute app ON app.attrelid = indrelid AND app.attname = 'app_id' AND app.attnum = indkey[0]
                JOIN pg_attribute at ON at.attrelid = indrelid AND at.attname = 'timestamp' AND at.attnum = indkey[1]
                WHERE indrelid = relation AND indisvalid AND indpred IS NULL AND amname = 'btree')
            THEN 'it has no index on (app_id, "timestamp"): create one'
       END AS trouble
FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS wanted (name, place),
     LATERAL (SELECT to_regclass(quote_ident(name)) AS relation, name = ANY (CAST(:events AS text[])) AS is_of_events) AS of
ORDER BY place;
