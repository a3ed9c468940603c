-- A standby, or a server with a read-only default, answers every SELECT and refuses all other statements.
SELECT 1 AS ok, current_setting('transaction_read_only') = 'on' AS only_reads;
