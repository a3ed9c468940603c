-- Enters a code, or a link's secret. The statement that compares also counts the try, under the row's lock: of a hundred
-- at once, five are compared. Another browser than the one that asked finds no row, so it uses up no tries. A code that
-- was mailed to no person has no user, and fits nothing.
UPDATE job_sign_ins
SET tries = tries + 1,
    ended_at = CASE WHEN secret_hash = CAST(:secret_hash AS bytea) AND user_id IS NOT NULL THEN clock_timestamp() END
WHERE id = CAST(:id AS uuid) AND browser_hash IS NOT DISTINCT FROM CAST(:browser_hash AS bytea)
  AND tries < 5 AND ended_at IS NULL AND expires_at > clock_timestamp()
RETURNING CASE WHEN ended_at IS NOT NULL THEN user_id END AS user_id;
