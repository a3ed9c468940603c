-- Ends one session of the person, or all of them if session_id is null.
DELETE FROM job_sessions
WHERE user_id = CAST(:user_id AS uuid) AND ends_at > clock_timestamp()
  AND (CAST(:session_id AS uuid) IS NULL OR id = CAST(:session_id AS uuid))
RETURNING id;
