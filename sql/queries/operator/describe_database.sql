SELECT CAST(current_setting('server_version_num') AS integer) AS version_num,
       current_setting('server_version') AS version, current_setting('TimeZone') AS timezone,
       CAST(current_user AS text) AS role;
