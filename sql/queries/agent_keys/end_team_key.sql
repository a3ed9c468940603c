-- grace_days 0 ends the key at once. The caller has locked it.
UPDATE api_keys
SET deleted_at = CASE WHEN CAST(:grace_days AS integer) = 0 THEN clock_timestamp() END,
    expires_at = CASE WHEN CAST(:grace_days AS integer) = 0 THEN expires_at
                      ELSE least(expires_at, clock_timestamp() + make_interval(days => CAST(:grace_days AS integer))) END
WHERE id = CAST(:key_id AS uuid);
