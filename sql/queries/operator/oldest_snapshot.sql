-- The session, prepared transaction or replication slot that holds the oldest snapshot of this database, and how many
-- transactions have begun since: the row versions that these replaced cannot be removed until it ends. The age in
-- seconds is null for a session of a role that this one is no member of.
SELECT kind, name, owner, application, behind, age_s
FROM (SELECT 'session' AS kind, CAST(pid AS text) AS name, CAST(usename AS text) AS owner,
             application_name AS application, greatest(age(backend_xid), age(backend_xmin)) AS behind,
             CAST(extract(epoch FROM clock_timestamp() - xact_start) AS float8) AS age_s
      FROM pg_stat_activity
      WHERE pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
        AND (datname IS NULL OR datname = current_database())
      UNION ALL
      SELECT 'prepared transaction', gid, CAST(owner AS text), '', age(transaction),
             CAST(extract(epoch FROM clock_timestamp() - prepared) AS float8)
      FROM pg_prepared_xacts WHERE database = current_database()
      UNION ALL
      SELECT 'replication slot', CAST(slot_name AS text), '', '', age(xmin), NULL FROM pg_replication_slots
     ) AS holder
WHERE behind IS NOT NULL
ORDER BY behind DESC, kind, name LIMIT 1;
