-- The rows that the sweep could not heal. A row that is_due is tried again now.
SELECT healer, key, error, attempts, since, retry_at <= now AS is_due, now
FROM job_set_aside, (SELECT clock_timestamp() AS now) AS clock
ORDER BY since, healer, key;
