-- A session that was used in the meantime stays.
DELETE FROM job_sessions WHERE id = ANY (CAST(:keys AS uuid[])) AND ends_at <= clock_timestamp()
RETURNING id;
