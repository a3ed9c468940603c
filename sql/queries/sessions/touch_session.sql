-- Writes the last use, once in ten minutes. Of two requests at once, one writes.
UPDATE job_sessions
SET last_used_at = clock_timestamp(),
    ends_at = least(clock_timestamp() + interval '12 hours', created_at + interval '30 days')
WHERE id = (SELECT id FROM job_sessions
            WHERE id = CAST(:session_id AS uuid) AND last_used_at < clock_timestamp() - interval '10 minutes'
              AND ends_at > clock_timestamp()
            FOR UPDATE SKIP LOCKED);
