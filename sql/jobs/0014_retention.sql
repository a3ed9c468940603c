-- Counts the next events of an app, with a time from first to last: what a dry run of the retention would delete. passed
-- is the number of events of the time "first" that are already counted. Returns the number, the time to continue from
-- (null if no events were left), and how many events of that time are counted by then. The bounds are constants, so that
-- the planner prunes the other partitions.
CREATE FUNCTION retention_count(
    relation text, app uuid, first text, last text, passed bigint, batch integer,
    OUT counted bigint, OUT reached text, OUT tied bigint
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    EXECUTE format(
        'WITH batch AS MATERIALIZED (
             SELECT "timestamp" AS step FROM %1$I
             WHERE app_id = $1 AND "timestamp" BETWEEN %2$L AND %3$L ORDER BY "timestamp" OFFSET $2 LIMIT $3
         ), newest AS (SELECT max(step) AS step FROM batch)
         SELECT count(*), CAST(newest.step AS text),
                count(*) FILTER (WHERE batch.step = newest.step) + CASE WHEN newest.step = %2$L THEN $2 ELSE 0 END
         FROM newest LEFT JOIN batch ON true WHERE newest.step IS NOT NULL GROUP BY newest.step',
        relation, first, last)
    INTO counted, reached, tied USING app, passed, batch;
    counted := coalesce(counted, 0);
END $$;
GRANT EXECUTE ON FUNCTION retention_count(text, uuid, text, text, bigint, integer) TO nightshift_maintenance;
