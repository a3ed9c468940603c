-- The caller has locked it. A new secret of Slack is a new address, which has not failed yet; a new URL is, too. Then a
-- call that goes on says nothing about it: its claim is over (end_delivery_try.sql), and its message is sent again.
UPDATE job_alerts
SET name = CAST(:name AS text), events = CAST(:events AS text[]), job_types = CAST(:job_types AS text[]),
    project_ids = CAST(:project_ids AS uuid[]), failures = CASE WHEN is_elsewhere THEN 0 ELSE failures END,
    failing_since = CASE WHEN NOT is_elsewhere THEN failing_since END,
    retry_at = CASE WHEN NOT is_elsewhere THEN retry_at END,
    claims = CASE WHEN is_elsewhere THEN claims + 1 ELSE claims END,
    config = CAST(:config AS jsonb), secret_encrypted = coalesce(CAST(:secret_encrypted AS bytea), secret_encrypted),
    minutes_between = CAST(:minutes_between AS integer), overdue_hours = CAST(:overdue_hours AS integer),
    overdue_look_at = CASE WHEN CAST(:overdue_hours AS integer) IS NOT NULL THEN clock_timestamp() END,
    updated_at = clock_timestamp()
FROM (SELECT id AS changed_id, config IS DISTINCT FROM CAST(:config AS jsonb)
             OR CAST(:secret_encrypted AS bytea) IS NOT NULL AS is_elsewhere
      FROM job_alerts WHERE id = CAST(:alert_id AS uuid)) AS change
WHERE id = changed_id;
