-- A share that was taken in the meantime stays.
DELETE FROM job_sign_in_shares WHERE key = ANY (CAST(:keys AS text[])) AND free_at <= clock_timestamp()
RETURNING key;
