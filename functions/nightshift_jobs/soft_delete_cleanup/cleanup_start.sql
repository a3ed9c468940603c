-- The cut-off is read once per run; resources that become due later belong to the next run. barred lists the tables
-- that this role lacks a right to (locking a row requires a column that it may update): they may be newer than the
-- grants. filtered lists the tables of which this role cannot see every row. If one of the three deciding tables is
-- among them, nothing is estimated.
WITH due AS (
    SELECT clock_timestamp() - make_interval(days => CAST(:days AS integer)) AS cutoff,
           ARRAY(SELECT name FROM unnest(CAST(:tables AS text[])) AS name
                 WHERE NOT (has_table_privilege(to_regclass(name), 'SELECT')
                            AND has_table_privilege(to_regclass(name), 'DELETE')
                            AND (name <> ALL (CAST(:locked AS text[]))
                                 OR has_any_column_privilege(to_regclass(name), 'UPDATE')))) AS barred,
           ARRAY(SELECT name FROM unnest(CAST(:tables AS text[])) AS name
                 WHERE row_security_active(to_regclass(name))) AS filtered,
           ARRAY(SELECT name FROM unnest(CAST(:deciding AS text[])) AS name
                 WHERE NOT has_table_privilege(to_regclass(name), 'SELECT')
                    OR row_security_active(to_regclass(name))) AS unseen
)
SELECT CAST(cutoff AS text) AS cutoff, barred, filtered, unseen,
       CASE WHEN cardinality(unseen) = 0 THEN cleanup_estimate(cutoff, barred || filtered) END AS estimate
FROM due;
