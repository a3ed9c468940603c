-- The state of a recorded partition:
--   attached   unchanged
--   detaching  invisible to new queries, but not yet detached
--   detached   a separate table
--   stale      detaching or detached, but recorded so long ago that a person may have done it, to keep the table
--   changed    the recorded table no longer exists, or was detached by hand: only DETACH CONCURRENTLY, which the job
--              uses, leaves a CHECK on the partition key behind
-- Also returns the statement that detaches it, finishes the detach, or attaches it again. The CHECK then avoids a scan.
SELECT CASE
           WHEN class.oid IS NULL OR inherits.inhparent <> recorded.parent THEN 'changed'
           WHEN inherits.inhparent IS NULL AND NOT EXISTS (
                -- By name: the partition may have its columns in another order.
                SELECT FROM pg_constraint bounds
                JOIN pg_attribute key ON key.attrelid = class.oid AND key.attnum = ANY (bounds.conkey)
                JOIN event_tables parent ON parent.relid = recorded.parent AND parent."column" = key.attname
                WHERE bounds.conrelid = class.oid AND bounds.contype = 'c'
           ) THEN 'changed'
           WHEN NOT inherits.inhdetachpending THEN 'attached'
           WHEN recorded.marked_at < clock_timestamp() - interval '25 hours' THEN 'stale'
           WHEN inherits.inhdetachpending THEN 'detaching'
           ELSE 'detached'
       END AS state,
       CASE WHEN inherits.inhparent IS NULL
            THEN format('ALTER TABLE %1$s ATTACH PARTITION %2$s FOR VALUES FROM (%3$L%5$s) TO (%4$L%5$s)',
                        recorded.parent::regclass, recorded.partition::regclass, recorded.since, recorded.until,
                        (SELECT repeat(', MINVALUE', partnatts - 1) FROM pg_partitioned_table
                         WHERE partrelid = recorded.parent))
            ELSE format('ALTER TABLE %s DETACH PARTITION %s %s', recorded.parent::regclass, recorded.partition::regclass,
                        CASE WHEN inherits.inhdetachpending THEN 'FINALIZE' ELSE 'CONCURRENTLY' END)
       END AS statement
FROM (SELECT CAST(:partition AS oid) AS partition, CAST(:parent AS oid) AS parent, CAST(:name AS text) AS name,
             CAST(:since AS text) AS since, CAST(:until AS text) AS until,
             CAST(CAST(:marked_at AS text) AS timestamptz) AS marked_at) AS recorded
LEFT JOIN pg_class class ON class.oid = recorded.partition AND class.relname = recorded.name
LEFT JOIN pg_inherits inherits ON inherits.inhrelid = class.oid;
