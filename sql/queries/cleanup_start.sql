-- The cut-off is read once a run: what comes over due meanwhile is the next run's. Barred are the tables that this role
-- lacks a right to (to lock a row is to have a column to update): they may be younger than the grants.
WITH due AS (
    SELECT clock_timestamp() - make_interval(days => CAST(:days AS integer)) AS cutoff,
           ARRAY(SELECT name FROM unnest(CAST(:tables AS text[])) AS name
                 WHERE NOT (has_table_privilege(to_regclass(name), 'SELECT')
                            AND has_table_privilege(to_regclass(name), 'DELETE')
                            AND (name <> ALL (CAST(:locked AS text[]))
                                 OR has_any_column_privilege(to_regclass(name), 'UPDATE')))) AS barred
)
SELECT CAST(cutoff AS text) AS cutoff, barred, cleanup_estimate(cutoff, barred) AS estimate FROM due;
