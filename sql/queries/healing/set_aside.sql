-- A row that could not be healed is retried after a minute, then with doubling delays of up to ten minutes, so that it
-- heals soon after the operator has fixed the cause. A first failure for a temporary reason is not reported.
INSERT INTO job_set_aside AS aside (healer, key, error, attempts, retry_at)
VALUES (CAST(:healer AS text), CAST(:key AS text), CAST(:error AS text), CASE WHEN CAST(:passing AS boolean) THEN 0 ELSE 1 END,
        clock_timestamp() + interval '1 minute')
ON CONFLICT (healer, key) DO UPDATE
SET error = excluded.error, attempts = aside.attempts + 1,
    retry_at = clock_timestamp() + least(interval '1 minute' * power(2, least(aside.attempts, 10)), interval '10 minutes');
