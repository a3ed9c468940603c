-- The event tables that exist, and those in a schema that this role cannot see or does not search.
SELECT table_name, event_tables.relid IS NOT NULL AS is_partitioned,
       (SELECT CAST(CAST(min(class.relnamespace::oid) AS regnamespace) AS text) FROM pg_class class
        WHERE class.relname = table_name AND class.relkind = 'p' AND NOT class.relispartition
          AND to_regclass(quote_ident(table_name)) IS NULL) AS hidden_in
FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS wanted (table_name, place)
LEFT JOIN event_tables ON event_tables.event_table = table_name
ORDER BY place;
