-- Make one month's partition of an event table beside it and attach it. Attaching a table whose CHECK already proves
-- the bounds needs no scan and only SHARE UPDATE EXCLUSIVE on the parent, so writers and readers go on.
-- Finishes what an earlier, interrupted call began. Returns whether it made anything: not where the table is missing or
-- not partitioned, and not where the platform has a partition of its own over the month.
CREATE FUNCTION create_month_partition(parent text, month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    child  text := parent || to_char(month, '_YYYY_MM');
    lower  text := to_char(month, 'YYYY-MM-01') || ' 00:00:00+00';
    upper  text := to_char(month + interval '1 month', 'YYYY-MM-01') || ' 00:00:00+00';
    bounds text := child || '_bounds';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('create_month_partition'), hashtext(parent));  -- two at once take turns
    IF NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = to_regclass(quote_ident(parent))) THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass(quote_ident(parent))
                                         AND inhrelid = to_regclass(quote_ident(child))) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I (LIKE %I INCLUDING ALL)', child, parent);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS %I', child, bounds);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK ("timestamp" >= %L AND "timestamp" < %L)',
                   child, bounds, lower, upper);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, lower, upper);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', child, bounds);
    RETURN true;
EXCEPTION WHEN invalid_object_definition THEN
    RAISE NOTICE '%', SQLERRM;      -- "would overlap partition …": what this call made is rolled back
    RETURN false;
END $$;
