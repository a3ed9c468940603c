-- A standby and a server that was told so only read: they take every SELECT and refuse the rest.
SELECT 1 AS ok, current_setting('transaction_read_only') = 'on' AS only_reads;
