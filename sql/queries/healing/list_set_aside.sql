-- Rows that the sweep could not heal. A row with is_due is retried now.
SELECT healer, key, error, attempts, since, retry_at <= now AS is_due, now
FROM job_set_aside, (SELECT clock_timestamp() AS now) AS clock
ORDER BY since, healer, key;
