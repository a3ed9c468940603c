-- Event tables that have no partition for a row of now, or of the first moment of next month. Bounds are read as they
-- are, not by the partitions' names: a platform may have partitions of its own.
WITH moments AS (
    SELECT clock_timestamp() AS moment UNION ALL SELECT date_trunc('month', clock_timestamp()) + interval '1 month'
), bounds AS (
    SELECT parent.name AS "table",
           coalesce(CAST(substring(bound FROM 'FROM \(''([^'']+)''\)') AS timestamptz), '-infinity') AS lower,
           coalesce(CAST(substring(bound FROM 'TO \(''([^'']+)''\)') AS timestamptz), 'infinity') AS upper
    FROM unnest(ARRAY['events', 'metric_events', 'funnel_events']) AS parent (name)
    JOIN pg_inherits ON inhparent = to_regclass(parent.name)
    JOIN pg_class child ON child.oid = inhrelid,
         LATERAL pg_get_expr(child.relpartbound, child.oid) AS bound
    WHERE bound LIKE 'FOR VALUES FROM%'
)
SELECT parent.name AS "table", to_char(moment, 'YYYY-MM') AS month
FROM unnest(ARRAY['events', 'metric_events', 'funnel_events']) AS parent (name), moments
WHERE EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = to_regclass(parent.name))
  AND NOT EXISTS (SELECT FROM bounds
                  WHERE bounds."table" = parent.name AND lower <= moment AND moment < upper)
ORDER BY month, parent.name;
