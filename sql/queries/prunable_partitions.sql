-- Months that are over, oldest first; blocked says why one cannot be dropped.
-- Rows are what statistics have: counting would read everything once more. The collector's count of live rows is close
-- and lost in a crash; the planner's is as old as the last (auto)vacuum and survives. Null: neither knows.
SELECT span.event_table, span.parent, span.partition, span.name,
       span.since AT TIME ZONE 'UTC' || '+00' AS since, span.until AT TIME ZONE 'UTC' || '+00' AS until,
       coalesce(pg_total_relation_size(span.partition), 0) AS bytes,
       CAST(nullif(greatest(span.estimated_rows, nullif(pg_stat_get_live_tuples(span.partition), 0)), -1) AS bigint)
           AS about_rows,
       CASE
           WHEN NOT pg_has_role(span.owner, 'USAGE')
           THEN format('%s belongs to %s. Give it away: ALTER TABLE %s OWNER TO nightshift_maintenance.',
                       span.name, span.owner::regrole, span.partition::regclass)
           -- One at a time: Postgres refuses a second pending detach of the same table.
           WHEN detaching.partition IS NOT NULL
           THEN format('Somebody else began to detach %s. Finish it: ALTER TABLE %s DETACH PARTITION %s FINALIZE.',
                       detaching.partition, span.parent::regclass, detaching.partition)
           WHEN partitioned.partdefid <> 0
           THEN format('%s has the default partition %s, beside which Postgres detaches nothing concurrently.',
                       span.event_table, partitioned.partdefid::regclass)
       END AS blocked
FROM event_partitions span
JOIN pg_partitioned_table partitioned ON partitioned.partrelid = span.parent
LEFT JOIN LATERAL (SELECT inhrelid::regclass AS partition FROM pg_inherits
                   WHERE inhparent = span.parent AND inhdetachpending) AS detaching ON true
WHERE span.kind = 'r'
  AND span.since = date_trunc('month', span.since, 'UTC')
  AND span.until = (span.since AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
  AND span.until <= date_trunc('month', clock_timestamp(), 'UTC')
ORDER BY span.since, span.position;
