-- A mail that was moved into a digest has the digest's status. Until the first attempt at the digest, the status is
-- "digested".
SELECT mail.id, mail.recipient, CASE WHEN digest.attempts > 0 THEN digest.status ELSE mail.status END AS status,
       coalesce(digest.attempts, mail.attempts) AS attempts, coalesce(digest.error, mail.error) AS error,
       mail.created_at, CASE WHEN digest.id IS NULL THEN mail.ended_at ELSE digest.ended_at END AS ended_at
FROM job_outbox mail LEFT JOIN job_outbox digest ON digest.id = mail.digest_id
WHERE mail.run_id = CAST(:run_id AS uuid) AND mail.kind = 'mail' ORDER BY mail.created_at, mail.id;
