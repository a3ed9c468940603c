-- No row: the person was deleted since they asked. replaced_hash is the token of the session that the browser had; the
-- answer names that session and its person, if it had not ended.
WITH replaced AS (
    DELETE FROM job_sessions WHERE token_hash = CAST(:replaced_hash AS bytea)
    RETURNING id, user_id, ends_at > clock_timestamp() AS was_live
)
INSERT INTO job_sessions (user_id, token_hash, is_cookie, signed_in_by, source, browser)
SELECT person.id, CAST(:token_hash AS bytea), CAST(:is_cookie AS boolean), CAST(:signed_in_by AS text),
       CAST(:source AS text), CAST(:browser AS text)
FROM users person WHERE person.id = CAST(:user_id AS uuid) AND person.deleted_at IS NULL
RETURNING id, is_cookie, signed_in_by, source, browser, created_at, last_used_at, ends_at,
          (SELECT id FROM replaced WHERE was_live) AS replaced_id,
          (SELECT user_id FROM replaced WHERE was_live) AS replaced_user_id;
