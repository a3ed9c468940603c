-- No row: the address belongs to no person, or to two. The first comparison uses the index, as in find_users_by_email.sql.
INSERT INTO job_sign_ins (id, secret_hash, user_id)
SELECT CAST(:id AS uuid), CAST(:secret_hash AS bytea), CAST(min(CAST(person.id AS text)) AS uuid)
FROM users person
WHERE lower(person.email) = lower(CAST(:email AS text)) AND person.deleted_at IS NULL
  AND lower(person.email COLLATE "C") = lower(CAST(:email AS text) COLLATE "C")
HAVING count(*) = 1
RETURNING user_id;
