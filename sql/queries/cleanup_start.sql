-- The cut-off is read once a run: what comes over due meanwhile is the next run's. Barred are the tables that this role
-- lacks a right to (to lock a row is to have a column to update): they may be younger than the grants. Of those in
-- filtered it would not be shown every row. Nothing is estimated where one of the three that decide is among them.
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
