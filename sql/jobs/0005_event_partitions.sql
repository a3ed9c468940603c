-- The time ranges that the partitions of the event tables cover, and partitions for exactly the gaps between them.
-- Bounds are read as text, so each function that reads them pins the settings for formatting and parsing times.
-- Functions are schema-qualified: others may create functions in the tables' schema, and the schema owner calls these.

CREATE VIEW event_tables AS
SELECT parent.name AS event_table, parent.position, class.oid AS relid, namespace.nspname AS schema,
       CAST(class.relowner AS regrole) AS owner, partitioned.partnatts AS key_columns,
       partitioned.partdefid AS default_partition,
       CASE WHEN time.is_time THEN key.attname END AS "column",
       CASE WHEN time.is_time IS NOT TRUE THEN pg_catalog.format(
           '%s is partitioned by %s, and partitions are made by RANGE of a column of time alone (timestamptz, '
           'timestamp or date)', parent.name, pg_catalog.pg_get_partkeydef(class.oid)) END AS trouble
FROM (VALUES (1, 'events'), (2, 'metric_events'), (3, 'funnel_events')) AS parent (position, name)
JOIN pg_class class ON class.oid = pg_catalog.to_regclass(pg_catalog.quote_ident(parent.name))
JOIN pg_namespace namespace ON namespace.oid = class.relnamespace
JOIN pg_partitioned_table partitioned ON partitioned.partrelid = class.oid
LEFT JOIN pg_attribute key ON key.attrelid = class.oid AND key.attnum = partitioned.partattrs[0]
CROSS JOIN LATERAL (SELECT partitioned.partstrat = 'r' AND key.atttypid IN (
    CAST('timestamptz' AS regtype), CAST('timestamp' AS regtype), CAST('date' AS regtype)) AS is_time) AS time;
COMMENT ON VIEW event_tables IS
    'The partitioned event tables, with their partitioning column of time. trouble says why the jobs cannot create
     partitions of a table; the column is then null.';

-- The partitions and sub-partitions of the event tables, each with the time range that it can contain, from its own
-- bounds and those above it. Bounds without a time zone are in UTC. A partition by another column can contain the whole
-- range of its parent. since and until are null if the bounds are not two points in time.
CREATE FUNCTION event_tree()
RETURNS TABLE (event_table text, "position" integer, parent oid, partition oid, depth integer, is_leaf boolean,
               is_default boolean, is_detaching boolean, since timestamptz, until timestamptz)
LANGUAGE sql STABLE SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
    WITH RECURSIVE tree AS (
        SELECT event_table, "position", CAST(NULL AS oid) AS parent, relid AS partition, 0 AS depth, false AS is_leaf,
               false AS is_default, false AS is_detaching, CAST('-infinity' AS timestamptz) AS since,
               CAST('infinity' AS timestamptz) AS until, "column"
        FROM event_tables
        UNION ALL
        SELECT above.event_table, above."position", above.partition, class.oid, above.depth + 1, class.relkind <> 'p',
               above.is_default OR above.depth = 0 AND bound.text = 'DEFAULT',
               above.is_detaching OR inherits.inhdetachpending,
               CASE WHEN NOT bound.is_of_time OR bound.text = 'DEFAULT' THEN above.since
                    WHEN span.bounds IS NOT NULL
                    THEN greatest(above.since, coalesce(CAST(span.bounds[1] AS timestamptz), '-infinity')) END,
               CASE WHEN NOT bound.is_of_time OR bound.text = 'DEFAULT' THEN above.until
                    WHEN span.bounds IS NOT NULL
                    THEN least(above.until, coalesce(CAST(span.bounds[2] AS timestamptz), 'infinity')) END,
               above."column"
        FROM tree above
        JOIN pg_partitioned_table partitioned ON partitioned.partrelid = above.partition
        LEFT JOIN pg_attribute key ON key.attrelid = above.partition AND key.attnum = partitioned.partattrs[0]
        JOIN pg_inherits inherits ON inherits.inhparent = above.partition
        JOIN pg_class class ON class.oid = inherits.inhrelid AND class.relispartition
        CROSS JOIN LATERAL (
            SELECT pg_catalog.pg_get_expr(class.relpartbound, class.oid) AS text,
                   -- If a table has no column of time, the bounds of its partitions are not times.
                   above."column" IS NULL OR partitioned.partstrat = 'r' AND key.attname IS NOT DISTINCT FROM above."column"
                       AS is_of_time) AS bound
        -- For a key of several columns: bounds that differ only in the first.
        CROSS JOIN LATERAL (
            SELECT CASE WHEN above."column" IS NOT NULL THEN pg_catalog.regexp_match(bound.text,
                $re$^FOR VALUES FROM \((?:'([^']*)'|MINVALUE)(?:, MINVALUE)*\) TO \((?:'([^']*)'(?:, MINVALUE)*|MAXVALUE(?:, MAXVALUE)*)\)$re$
                ) END AS bounds) AS span
    )
    SELECT event_table, "position", parent, partition, depth, is_leaf, is_default, is_detaching, since, until
    FROM tree WHERE depth > 0
$$;

CREATE VIEW event_partitions AS
SELECT span.event_table, span.position, span.parent, span.partition, class.relname AS name, class.relkind AS kind,
       class.relowner AS owner, class.reltuples AS estimated_rows, span.is_detaching, span.since, span.until,
       span.is_default
FROM event_tree() AS span JOIN pg_class class ON class.oid = span.partition
WHERE span.depth = 1;
COMMENT ON VIEW event_partitions IS 'The partitions directly below the event tables, for both partition jobs.';

-- The gaps of the event tables from first to last (exclusive). A partition that is being detached accepts no rows, and
-- rows in a DEFAULT partition can never be dropped with their month, so neither counts as cover.
CREATE FUNCTION event_gaps(first timestamptz, last timestamptz)
RETURNS TABLE (event_table text, "position" integer, since timestamptz, until timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT parent.event_table, parent."position", pg_catalog.lower(gap), pg_catalog.upper(gap)
    FROM event_tables parent
    CROSS JOIN LATERAL (
        SELECT pg_catalog.range_agg(pg_catalog.tstzrange(leaf.since, leaf.until)) AS covered
        FROM event_tree() AS leaf
        WHERE leaf.event_table = parent.event_table AND leaf.is_leaf AND NOT leaf.is_default AND NOT leaf.is_detaching
          AND leaf.since < leaf.until
    ) AS leaves
    CROSS JOIN LATERAL pg_catalog.unnest(
        pg_catalog.tstzmultirange(pg_catalog.tstzrange(first, last)) - coalesce(leaves.covered, '{}')) AS gap
$$;

-- Creates a partition of an event table for a gap, as a separate table, and attaches it. Attaching a table whose CHECK
-- already proves the bounds needs no scan and only SHARE UPDATE EXCLUSIVE on the parent, so readers and writers
-- continue. For a whole month (UTC) its name is events_2026_03 if that name is free, or is that of a separate table,
-- which is then attached with its rows; otherwise events_2026_03_from_31t220000. outcome is one of
--   created   detail is the partition's name
--   existing  other sessions created partitions for all or part of that time: nothing was changed
--   missing   no partitioned table has this name
--   busy      another session holds a lock that is needed, or it took too long, as detail says: nothing was changed
--   refused   for the reason in detail: nothing was changed
CREATE FUNCTION create_event_partition(
    parent text, since timestamptz, until timestamptz, OUT outcome text, OUT detail text
) LANGUAGE plpgsql
-- Sessions behind a waiting ALTER in the lock's queue wait as long as it does, so this is short.
SET lock_timeout = '50ms' SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
    "table"  event_tables;
    child    text := parent || pg_catalog.to_char(since, '_YYYY_MM');
    place    text;
    others   text;
    within   text;
    bounds   text;
    there    record;
BEGIN
    -- Concurrent calls take turns. A caller that waits here does not block other sessions.
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('create_event_partition'), pg_catalog.hashtext(parent));
    PERFORM pg_catalog.set_config('lock_timeout', '50ms', true);
    SELECT * INTO "table" FROM event_tables found WHERE found.event_table = parent;
    IF NOT FOUND THEN
        outcome := 'missing';
        RETURN;
    ELSIF "table".trouble IS NOT NULL THEN
        outcome := 'refused';
        detail := "table".trouble;
        RETURN;
    END IF;
    SELECT pg_catalog.count(*) AS gaps INTO there FROM event_gaps(since, until) AS gap
    WHERE gap.event_table = parent
      AND gap.since = create_event_partition.since AND gap.until = create_event_partition.until;
    IF there.gaps = 0 THEN
        outcome := 'existing';
        RETURN;
    END IF;

    SELECT CAST(span.partition AS regclass) AS name INTO there FROM event_tree() AS span
    WHERE span.parent = "table".relid AND span.is_detaching
      AND span.since < create_event_partition.until AND span.until > create_event_partition.since;
    IF FOUND THEN
        outcome := 'refused';
        detail := pg_catalog.format('%s is still being detached. Finish it: ALTER TABLE %s DETACH PARTITION %s FINALIZE',
                                    there.name, CAST("table".relid AS regclass), there.name);
        RETURN;
    END IF;

    IF since <> pg_catalog.date_trunc('month', since) OR until <> since + interval '1 month' OR EXISTS (
        SELECT FROM pg_class class JOIN pg_namespace namespace ON namespace.oid = class.relnamespace
        WHERE namespace.nspname = "table".schema AND class.relname = child
          AND (class.relkind <> 'r' OR class.relispartition)) THEN
        child := child || pg_catalog.to_char(since, '"_from_"DD"t"HH24MISS')
                       || pg_catalog.replace(pg_catalog.to_char(since, '"_"US'), '_000000', '');
    END IF;
    place := pg_catalog.format('%I.%I', "table".schema, child);
    within := pg_catalog.format('%1$I >= %2$L AND %1$I < %3$L', "table"."column", since, until);
    SELECT class.relkind, class.relpersistence, class.relowner, class.relispartition INTO there
    FROM pg_class class JOIN pg_namespace namespace ON namespace.oid = class.relnamespace
    WHERE namespace.nspname = "table".schema AND class.relname = child;
    IF FOUND THEN
        outcome := 'refused';
        IF there.relkind <> 'r' OR there.relispartition THEN
            detail := pg_catalog.format('the names %s_%s and %s are taken', parent,
                                        pg_catalog.to_char(since, 'YYYY_MM'), child);
            RETURN;
        ELSIF NOT pg_catalog.pg_has_role(there.relowner, 'USAGE') THEN
            detail := pg_catalog.format('%s belongs to %s. Give it away: ALTER TABLE %s OWNER TO %s', child,
                                        CAST(there.relowner AS regrole), place, "table".owner);
            RETURN;
        ELSIF there.relpersistence <> 'p' THEN
            detail := pg_catalog.format('%s is not logged: a crash would empty it. ALTER TABLE %s SET LOGGED', child,
                                        place);
            RETURN;
        END IF;
        EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) AS rows, CAST(pg_catalog.min(%1$I) AS timestamp) AS first,'
                                  ' CAST(pg_catalog.max(%1$I) AS timestamp) AS last FROM %2$s WHERE (%3$s) IS NOT TRUE',
                                  "table"."column", place, within)
        INTO there;
        IF there.rows > 0 THEN
            detail := pg_catalog.format('%s holds %s rows of another time, from %s to %s', child, there.rows,
                                        there.first, there.last);
            RETURN;
        END IF;
    END IF;
    IF "table".default_partition <> 0 THEN
        -- ATTACH would search it, too, but with all other sessions locked out.
        EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %s WHERE %s) AS rows',
                                  CAST("table".default_partition AS regclass), within)
        INTO there;
        IF there.rows THEN
            outcome := 'refused';
            detail := pg_catalog.format('the default partition %s holds rows of that time. Move them into a table called '
                                        '%s: it is attached then', CAST("table".default_partition AS regclass), child);
            RETURN;
        END IF;
    END IF;

    bounds := pg_catalog.left(child, 56) || '_bounds';
    others := pg_catalog.repeat(', MINVALUE', "table".key_columns - 1);
    EXECUTE pg_catalog.format('CREATE TABLE IF NOT EXISTS %s (LIKE %s INCLUDING ALL)', place,
                              CAST("table".relid AS regclass));
    -- For every caller: the jobs must own the partitions that they will detach later.
    EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO %s', place, "table".owner);
    EXECUTE pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', place, bounds);
    EXECUTE pg_catalog.format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (%s)', place, bounds, within);
    EXECUTE pg_catalog.format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L%s) TO (%L%s)',
                              CAST("table".relid AS regclass), place, since, others, until, others);
    EXECUTE pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', place, bounds);
    outcome := 'created';
    detail := child;
-- The exception rolls back everything that this call created.
EXCEPTION
    -- internal_error: "tuple concurrently updated"; query_canceled: the session's time limit.
    WHEN lock_not_available OR deadlock_detected OR query_canceled OR internal_error THEN
        outcome := 'busy';
        detail := SQLERRM;
    WHEN OTHERS THEN                        -- unforeseen problems of one table must not stop the others
        outcome := 'refused';
        detail := pg_catalog.format('%s cannot be attached to %s: %s', child, parent, pg_catalog.left(SQLERRM, 300));
END $$;

-- Drops the table that db_pruning recorded (by oid and name) and detached, but only while it is not attached. outcome
-- is dropped, busy, changed, or refused for the reason in detail, for example if a view depends on it.
CREATE FUNCTION drop_detached_partition(partition oid, name text, OUT outcome text, OUT detail text) LANGUAGE plpgsql
SET lock_timeout = '50ms' AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid = partition) THEN
        -- The lock prevents other sessions from renaming or attaching it.
        EXECUTE pg_catalog.format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', CAST(partition AS regclass));
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = partition AND relname = name AND NOT relispartition) THEN
        outcome := 'changed';
        RETURN;
    END IF;
    EXECUTE pg_catalog.format('DROP TABLE %s', CAST(partition AS regclass));
    outcome := 'dropped';
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        outcome := 'busy';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        outcome := 'refused';
        detail := pg_catalog.left(pg_catalog.concat_ws(': ', SQLERRM, nullif(detail, '')), 500);
END $$;
