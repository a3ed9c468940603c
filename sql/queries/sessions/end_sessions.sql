-- Ends one session of the person, or all of them if session_id is null; then also the codes and links that were sent to
-- the person and not used yet.
WITH unused AS (
    UPDATE job_sign_ins SET ended_at = clock_timestamp()
    WHERE CAST(:session_id AS uuid) IS NULL AND user_id = CAST(:user_id AS uuid) AND ended_at IS NULL
)
DELETE FROM job_sessions
WHERE user_id = CAST(:user_id AS uuid) AND ends_at > clock_timestamp()
  AND (CAST(:session_id AS uuid) IS NULL OR id = CAST(:session_id AS uuid))
RETURNING id;
