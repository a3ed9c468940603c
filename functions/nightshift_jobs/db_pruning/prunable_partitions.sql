-- Past partitions of the event tables, oldest first: all of their time is before this month (UTC). blocked says why one
-- cannot be dropped. It also lists partitions that contain older events but are not past, or whose time is unknown.
-- Row counts come from statistics, because counting would read all rows. The collector's count of live rows is accurate
-- but lost in a crash; the planner's survives but is as old as the last (auto)vacuum. Null: neither is known.
SELECT span.event_table, span.parent, span.partition, span.name,
       span.since AT TIME ZONE 'UTC' || '+00' AS since, span.until AT TIME ZONE 'UTC' || '+00' AS until,
       coalesce(pg_total_relation_size(span.partition), 0) AS bytes,
       CAST(nullif(greatest(span.estimated_rows, nullif(pg_stat_get_live_tuples(span.partition), 0)), -1) AS bigint)
           AS about_rows,
       CAST(clock_timestamp() AS text) AS marked_at,
       CASE
           WHEN span.is_default
           THEN format('The default partition %s of %s holds events of no month. Move them into partitions.',
                       span.name, span.event_table)
           WHEN span.since IS NULL
           THEN format('%s of %s is bounded by no two points in time.', span.name, span.event_table)
           WHEN span.until > month.first
           THEN format('%s holds older events and reaches into this month.', span.name)
           WHEN span.kind = 'f' THEN format('%s is a foreign table: it takes no room here.', span.name)
           WHEN span.kind <> 'r' THEN format('%s is partitioned itself. Drop it by hand.', span.name)
           WHEN span.since = '-infinity' OR span.until - span.since > interval '32 days'
           THEN format('%s spans more than a month, and a month is the most that goes at once. Drop it by hand.', span.name)
           WHEN NOT pg_has_role(span.owner, 'USAGE')
           THEN format('%s belongs to %s. Give it away: ALTER TABLE %s OWNER TO %s.',
                       span.name, span.owner::regrole, span.partition::regclass, owner.name)
           -- Postgres refuses a second pending detach of the same table.
           WHEN detaching.partition IS NOT NULL
           THEN format('Another session began to detach %s. Finish it: ALTER TABLE %s DETACH PARTITION %s FINALIZE.',
                       detaching.partition, span.parent::regclass, detaching.partition)
           WHEN partitioned.partdefid <> 0
           THEN format('%s has the default partition %s, beside which Postgres detaches nothing concurrently.',
                       span.event_table, partitioned.partdefid::regclass)
           -- A detach would block writes to the referring table while it looks for rows that refer to the partition.
           WHEN referring.key IS NOT NULL
           THEN format('%s refers to %s (%s), so Postgres detaches nothing before it has searched it.',
                       referring."table", span.event_table, referring.key)
           -- It could be detached but not dropped.
           WHEN needing.what IS NOT NULL THEN format('%s needs %s. Drop or change it.', needing.what, span.name)
       END AS blocked
FROM event_partitions span
CROSS JOIN (SELECT date_trunc('month', clock_timestamp(), 'UTC') AS first) AS month
JOIN pg_partitioned_table partitioned ON partitioned.partrelid = span.parent
JOIN pg_class class ON class.oid = span.partition
JOIN LATERAL (SELECT relowner::regrole AS name FROM pg_class WHERE oid = span.parent) AS owner ON true
LEFT JOIN LATERAL (SELECT inhrelid::regclass AS partition FROM pg_inherits
                   WHERE inhparent = span.parent AND inhdetachpending) AS detaching ON true
LEFT JOIN LATERAL (SELECT conrelid::regclass AS "table", conname AS key FROM pg_constraint
                   WHERE confrelid = span.parent AND contype = 'f' AND conparentid = 0
                   ORDER BY conname LIMIT 1) AS referring ON true
-- Objects for which DROP would fail: they depend on the table or its row type and are not part of the table.
LEFT JOIN LATERAL (
    SELECT min(pg_describe_object(need.classid, need.objid, 0)) AS what
    FROM pg_depend need
    WHERE need.deptype = 'n'
      AND (need.refclassid = CAST('pg_class' AS regclass) AND need.refobjid = class.oid
           OR need.refclassid = CAST('pg_type' AS regclass)
              AND need.refobjid IN (SELECT oid FROM pg_type WHERE oid = class.reltype
                                    UNION ALL SELECT typarray FROM pg_type WHERE oid = class.reltype))
      AND NOT EXISTS (SELECT FROM pg_depend part
                      WHERE part.classid = need.classid AND part.objid = need.objid AND part.deptype IN ('a', 'i')
                        AND part.refclassid = CAST('pg_class' AS regclass) AND part.refobjid = class.oid)
) AS needing ON true
WHERE span.until <= month.first
   -- A month in local time begins a few hours early: this is not reported.
   OR span.since < month.first - interval '1 day'
   OR span.since IS NULL OR span.is_default
ORDER BY span.since NULLS FIRST, span.position;
