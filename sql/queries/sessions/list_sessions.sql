SELECT id, is_cookie, signed_in_by, source, browser, created_at, last_used_at, ends_at FROM job_sessions
WHERE user_id = CAST(:user_id AS uuid) AND ends_at > clock_timestamp()
ORDER BY last_used_at DESC, id LIMIT CAST(:limit AS integer);
