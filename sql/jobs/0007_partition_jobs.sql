-- For both partition jobs: the partitions of the event tables with the time range of each, taken from its bounds and
-- not from its name. Bounds that are not two points in time are null.
CREATE VIEW event_partitions AS
SELECT parent.name AS event_table, parent.position, inherits.inhparent AS parent, class.oid AS partition,
       class.relname AS name, class.relkind AS kind, class.relowner AS owner, class.reltuples AS estimated_rows,
       inherits.inhdetachpending AS is_detaching, span.since, span.until
FROM (VALUES (1, 'events'), (2, 'metric_events'), (3, 'funnel_events')) AS parent (position, name)
JOIN pg_inherits inherits ON inherits.inhparent = to_regclass(quote_ident(parent.name))
JOIN pg_class class ON class.oid = inherits.inhrelid AND class.relispartition,
LATERAL regexp_match(pg_get_expr(class.relpartbound, class.oid),
                     $$^FOR VALUES FROM \('([^']*)'\) TO \('([^']*)'\)$$) AS bound,
LATERAL (SELECT CASE WHEN pg_input_is_valid(bound[1], 'timestamptz') THEN CAST(bound[1] AS timestamptz) END AS since,
                CASE WHEN pg_input_is_valid(bound[2], 'timestamptz') THEN CAST(bound[2] AS timestamptz) END AS until
        ) AS span;
GRANT SELECT ON event_partitions TO nightshift_events;

-- Creates one month's partition of an event table as a separate table and attaches it. Attaching a table whose CHECK
-- already proves the bounds needs no scan and only SHARE UPDATE EXCLUSIVE on the parent, so readers and writers
-- continue. It also finishes an earlier, interrupted call. outcome is one of
--   created   the partition was created, or an existing table was attached
--   existing  the partition already existed
--   covered   a partition of the platform, named in detail, already covers the month
--   missing   no partitioned table has this name
--   busy      another session holds a lock that is needed: nothing was changed
--   refused   the table of this name cannot be attached, for the reason in detail: nothing was changed
-- Functions are schema-qualified: others may create functions in the tables' schema, and the schema owner calls this.
DROP FUNCTION IF EXISTS create_month_partition(text, date);
CREATE FUNCTION create_month_partition(parent text, month date, OUT outcome text, OUT detail text)
LANGUAGE plpgsql AS $$
DECLARE
    child     text := parent || pg_catalog.to_char(month, '_YYYY_MM');
    month_of  text := pg_catalog.to_char(month, 'YYYY-MM');
    lower     text := pg_catalog.to_char(month, 'YYYY-MM-01') || ' 00:00:00+00';
    upper     text := pg_catalog.to_char(month + interval '1 month', 'YYYY-MM-01') || ' 00:00:00+00';
    bounds    text := child || '_bounds';
    owner     text;
    there     record;
BEGIN
    -- Concurrent calls take turns.
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('create_month_partition'), pg_catalog.hashtext(parent));
    -- Sessions behind a waiting ALTER in the lock's queue wait as long as it does.
    PERFORM pg_catalog.set_config('lock_timeout', '50ms', true);
    SELECT CAST(class.relowner AS regrole) INTO owner
    FROM pg_partitioned_table JOIN pg_class class ON class.oid = partrelid
    WHERE partrelid = pg_catalog.to_regclass(pg_catalog.quote_ident(parent));
    IF NOT FOUND THEN
        outcome := 'missing';
        RETURN;
    END IF;
    SELECT span.name, span.name = child AND span.since = CAST(lower AS timestamptz)
                      AND span.until = CAST(upper AS timestamptz) AS is_ours
    INTO there
    FROM event_partitions span
    WHERE span.event_table = create_month_partition.parent AND NOT span.is_detaching
      AND span.since <= CAST(lower AS timestamptz) AND span.until >= CAST(upper AS timestamptz);
    IF FOUND THEN
        outcome := CASE WHEN there.is_ours THEN 'existing' ELSE 'covered' END;
        detail := pg_catalog.format('%s of %s is in %s', month_of, parent, there.name);
        RETURN;
    END IF;
    SELECT class.relkind, class.relpersistence, class.relowner, CAST(inherits.inhparent AS regclass) AS attached_to,
           inherits.inhdetachpending, pg_catalog.pg_get_expr(class.relpartbound, class.oid) AS span
    INTO there
    FROM pg_class class LEFT JOIN pg_inherits inherits ON inherits.inhrelid = class.oid
    WHERE class.oid = pg_catalog.to_regclass(pg_catalog.quote_ident(child));
    IF FOUND THEN
        outcome := 'refused';
        IF there.inhdetachpending THEN
            detail := pg_catalog.format('%s is being detached from %s', child, there.attached_to);
            RETURN;
        ELSIF there.attached_to IS NOT NULL THEN
            detail := pg_catalog.format('%s hangs below %s %s', child, there.attached_to, there.span);
            RETURN;
        ELSIF there.relkind <> 'r' THEN
            detail := pg_catalog.format('%s is not a table', child);
            RETURN;
        ELSIF NOT pg_catalog.pg_has_role(there.relowner, 'USAGE') THEN
            detail := pg_catalog.format('%s belongs to %s. Give it away: ALTER TABLE %I OWNER TO %s', child,
                                        CAST(there.relowner AS regrole), child, owner);
            RETURN;
        ELSIF there.relpersistence <> 'p' THEN
            detail := pg_catalog.format('%s is not logged: a crash would empty it. ALTER TABLE %I SET LOGGED', child,
                                        child);
            RETURN;
        END IF;
        EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) AS rows, pg_catalog.min("timestamp") AS first,'
                                  ' pg_catalog.max("timestamp") AS last FROM %I'
                                  ' WHERE ("timestamp" >= %L AND "timestamp" < %L) IS NOT TRUE', child, lower, upper)
        INTO there;
        IF there.rows > 0 THEN
            detail := pg_catalog.format('%s holds %s rows that are not of %s (UTC), from %s to %s', child, there.rows,
                                        month_of, there.first AT TIME ZONE 'UTC', there.last AT TIME ZONE 'UTC');
            RETURN;
        END IF;
    END IF;
    EXECUTE pg_catalog.format('CREATE TABLE IF NOT EXISTS %I (LIKE %I INCLUDING ALL)', child, parent);
    -- For every caller: the jobs must own the partitions that they will detach later.
    EXECUTE pg_catalog.format('ALTER TABLE %I OWNER TO %s', child, owner);
    EXECUTE pg_catalog.format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS %I', child, bounds);
    EXECUTE pg_catalog.format('ALTER TABLE %I ADD CONSTRAINT %I CHECK ("timestamp" >= %L AND "timestamp" < %L)',
                              child, bounds, lower, upper);
    EXECUTE pg_catalog.format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                              parent, child, lower, upper);
    EXECUTE pg_catalog.format('ALTER TABLE %I DROP CONSTRAINT %I', child, bounds);
    outcome := 'created';
    detail := NULL;
-- The exception rolls back everything that this call created.
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        outcome := 'busy';
        detail := SQLERRM;
    WHEN invalid_object_definition THEN     -- "would overlap partition …"
        outcome := 'covered';
        detail := SQLERRM;
    WHEN OTHERS THEN                        -- unforeseen problems of one table must not stop the others
        outcome := 'refused';
        detail := pg_catalog.format('%s cannot be attached to %s: %s', child, parent, SQLERRM);
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
