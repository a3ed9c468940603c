SELECT (SELECT sum(numbackends) FROM pg_stat_database) AS connections,
       CAST(current_setting('max_connections') AS integer) AS max_connections;
