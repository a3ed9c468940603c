-- Creates one month's partition of an event table as a separate table and attaches it. Attaching a table whose CHECK
-- already proves the bounds needs no scan and only SHARE UPDATE EXCLUSIVE on the parent, so readers and writers
-- continue. Finishes an earlier, interrupted call. Returns whether it created anything: false if the table is missing
-- or not partitioned, or if a partition of the platform already covers the month.
CREATE FUNCTION create_month_partition(parent text, month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    child  text := parent || to_char(month, '_YYYY_MM');
    lower  text := to_char(month, 'YYYY-MM-01') || ' 00:00:00+00';
    upper  text := to_char(month + interval '1 month', 'YYYY-MM-01') || ' 00:00:00+00';
    bounds text := child || '_bounds';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('create_month_partition'), hashtext(parent));  -- concurrent calls take turns
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
    RAISE NOTICE '%', SQLERRM;      -- "would overlap partition …": this call is rolled back
    RETURN false;
END $$;
